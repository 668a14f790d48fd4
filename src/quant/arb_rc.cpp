#include "halftone/quant/arb_rc.h"

#include <cmath>

#include "halftone/base/rounding.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/quant/grid.h"

namespace halftone {
namespace {

constexpr int64_t kRowBlock = 64;

// b_k (w - what the other order gives), where the mask is.
double signed_rest(const RowColumnProblem& p, int k, int64_t i, int64_t j) {
  const int64_t at = i * p.width + j;
  double rest = p.w[at];
  if (p.order == 2) rest -= p.a[1 - k][i] * p.c[1 - k][j] * p.b[1 - k][at];
  return p.mask[at] * p.b[k][at] * rest;
}

// Column sums of two quantities over rows, in fixed blocks of rows:
// body(i, numerators, denominators) adds row i's.
template <class Body>
void column_ratio(const RowColumnProblem& p, std::vector<double>& out, const Body& body) {
  const int64_t blocks = divide_up(p.rows, kRowBlock);
  std::vector<double> parts(static_cast<size_t>(2 * blocks * p.width), 0);
  parallel_for(p.rows, kRowBlock, [&](int64_t begin, int64_t end) {
    double* numerators = parts.data() + begin / kRowBlock * 2 * p.width;
    for (int64_t i = begin; i < end; ++i) body(i, numerators, numerators + p.width);
  });
  out.assign(static_cast<size_t>(p.width), 0);
  for (int64_t j = 0; j < p.width; ++j) {
    double numerator = 0, denominator = 0;
    for (int64_t block = 0; block < blocks; ++block) {
      numerator += parts[block * 2 * p.width + j];
      denominator += parts[block * 2 * p.width + p.width + j];
    }
    out[j] = denominator > 0 ? numerator / denominator : 0;
  }
}

RowColumnProblem problem_of(const BlockCode& code, int64_t group, const std::vector<double>& w,
                            std::vector<int64_t>& columns) {
  const int64_t rows = code.partition.rows, width = code.partition.width;
  columns.clear();
  for (int64_t j = 0; j < width; ++j)
    if ((group < code.salient_groups) == (code.partition.salient[j] != 0)) columns.push_back(j);
  RowColumnProblem p{.rows = rows,
                     .width = static_cast<int64_t>(columns.size()),
                     .w = {},
                     .mask = {},
                     .order = code.order(group)};
  p.w.assign(static_cast<size_t>(rows * p.width), 0);
  p.mask = p.w;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < p.width; ++j)
      if (code.group_of(i, columns[j]) == group) {
        p.mask[i * p.width + j] = 1;
        p.w[i * p.width + j] = w[i * width + columns[j]];
      }
  return p;
}

void fix_gauge(RowColumnProblem& p, int k) {
  double sum = 0, count = 0;
  for (int64_t j = 0; j < p.width; ++j) {
    double members = 0;
    for (int64_t i = 0; i < p.rows && members == 0; ++i) members = p.mask[i * p.width + j];
    sum += members * p.c[k][j];
    count += members;
  }
  if (sum <= 0) return;
  const double mean = sum / count;
  for (double& c : p.c[k]) c /= mean;
  for (double& a : p.a[k]) a *= mean;
}

void store(BlockCode& code, int64_t group, const RowColumnProblem& p,
           const std::vector<int64_t>& columns) {
  const int64_t width = code.partition.width;
  for (int k = 0; k < p.order; ++k) {
    for (int64_t i = 0; i < p.rows; ++i) {
      code.row_value[i * code.row_values + code.first_value(group) + k] = half_value(p.a[k][i]);
      for (int64_t j = 0; j < p.width; ++j)
        if (p.mask[i * p.width + j] != 0)
          code.sign[k][i * width + columns[j]] = p.b[k][i * p.width + j] < 0;
    }
    for (int64_t j = 0; j < p.width; ++j)
      code.column_value[k][group * width + columns[j]] = half_value(p.c[k][j]);
  }
}

}  // namespace

void arb_rc_start(RowColumnProblem& p) {
  std::vector<double> rest = p.w;
  for (int k = 0; k < p.order; ++k) {
    p.a[k].assign(static_cast<size_t>(p.rows), 0);
    p.b[k].assign(rest.size(), 1);
    parallel_for(p.rows, kRowBlock, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        double sum = 0, count = 0;
        for (int64_t at = i * p.width; at < (i + 1) * p.width; ++at) {
          sum += p.mask[at] * std::abs(rest[at]);
          count += p.mask[at];
          p.b[k][at] = rest[at] >= 0 ? 1 : -1;
        }
        p.a[k][i] = count > 0 ? sum / count : 0;
      }
    });
    column_ratio(p, p.c[k], [&](int64_t i, double* sum, double* count) {
      if (p.a[k][i] == 0) return;  // a row of zeros says nothing of its columns
      for (int64_t j = 0; j < p.width; ++j) {
        sum[j] += p.mask[i * p.width + j] * std::abs(rest[i * p.width + j]) / p.a[k][i];
        count[j] += p.mask[i * p.width + j];
      }
    });
    for (int64_t i = 0; i < p.rows; ++i)
      for (int64_t j = 0; j < p.width; ++j) {
        const int64_t at = i * p.width + j;
        rest[at] -= p.mask[at] * p.a[k][i] * p.c[k][j] * p.b[k][at];
      }
  }
}

void arb_rc_update_rows(RowColumnProblem& p, int k) {
  parallel_for(p.rows, kRowBlock, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const double *w = p.w.data() + i * p.width, *mask = p.mask.data() + i * p.width;
        const double *b = p.b[k].data() + i * p.width, *c = p.c[k].data();
        const double* other = p.order == 2 ? p.b[1 - k].data() + i * p.width : b;
        const double* other_c = p.order == 2 ? p.c[1 - k].data() : c;
        const double other_a = p.order == 2 ? p.a[1 - k][i] : 0;
        double numerator = 0, denominator = 0;
#pragma omp simd reduction(+ : numerator, denominator)
        for (int64_t j = 0; j < p.width; ++j) {
          numerator += mask[j] * c[j] * b[j] * (w[j] - other_a * other_c[j] * other[j]);
          denominator += mask[j] * c[j] * c[j];
        }
        p.a[k][i] = denominator > 0 ? numerator / denominator : 0;
      }
    });
  });
}

void arb_rc_update_columns(RowColumnProblem& p, int k) {
  column_ratio(p, p.c[k], [&](int64_t i, double* numerators, double* denominators) {
    const double a = p.a[k][i];
    for (int64_t j = 0; j < p.width; ++j) {
      numerators[j] += a * signed_rest(p, k, i, j);
      denominators[j] += p.mask[i * p.width + j] * a * a;
    }
  });
}

void arb_rc_update_signs(RowColumnProblem& p) {
  if (p.order == 1) return;  // a, c >= 0: B = sgn(W) is the best already
  parallel_for(p.rows, kRowBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < p.width; ++j) {
        const int64_t at = i * p.width + j;
        const double x = p.a[0][i] * p.c[0][j], y = p.a[1][i] * p.c[1][j];
        double least = INFINITY;
        for (int pair = 0; pair < 4; ++pair) {
          const double first = pair & 2 ? 1 : -1, second = pair & 1 ? 1 : -1;
          const double distance = std::abs(p.w[at] - first * x - second * y);
          if (distance >= least - kTie * (std::abs(x) + std::abs(y))) continue;
          least = distance;
          p.b[0][at] = first;
          p.b[1][at] = second;
        }
      }
  });
}

double arb_rc_error(const RowColumnProblem& p) {
  double sum = 0;
  for (int64_t i = 0; i < p.rows; ++i)
    for (int64_t j = 0; j < p.width; ++j) {
      const int64_t at = i * p.width + j;
      double d = p.w[at];
      for (int k = 0; k < p.order; ++k) d -= p.a[k][i] * p.c[k][j] * p.b[k][at];
      sum += p.mask[at] * d * d;
    }
  return sum;
}

void arb_rc(BlockCode& code, const std::vector<double>& w, int iterations) {
  std::vector<int64_t> columns;
  for (int64_t g = 0; g < code.groups(); ++g) {
    RowColumnProblem p = problem_of(code, g, w, columns);
    if (p.width == 0) continue;
    arb_rc_start(p);
    for (int t = 0; t < iterations; ++t) {
      for (int k = 0; k < p.order; ++k) {
        arb_rc_update_rows(p, k);
        arb_rc_update_columns(p, k);
      }
      arb_rc_update_signs(p);
    }
    for (int k = 0; k < p.order; ++k) fix_gauge(p, k);
    store(code, g, p, columns);
  }
}

}  // namespace halftone
