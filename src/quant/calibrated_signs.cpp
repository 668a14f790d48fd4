// Alternating least squares, and coordinate descent on signs, under a Gram matrix.
#include "halftone/quant/calibrated_signs.h"

#include <algorithm>
#include <cmath>

#include "halftone/base/threads.h"
#include "halftone/quant/arb_x.h"
#include "halftone/quant/braq.h"
#include "halftone/quant/hessian.h"
#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

constexpr int64_t kRowBlock = 32;
constexpr int kRounds = 15;
constexpr double kLeastGain = 1e-3;  // of a round that another one follows
constexpr double kDamping = 0.01;

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < n; ++j) sum += a[j] * b[j];
  return sum;
}

double weight(const CalibratedSigns& p, int64_t i, int64_t j) {
  return p.h[i * p.groups() + j / p.group] * p.s[i * p.columns + j] * p.g[p.tied[j]];
}

// W - W-hat of rows [begin, end).
std::vector<double> residual(const CalibratedSigns& p, int64_t begin, int64_t end) {
  std::vector<double> out(p.w.begin() + begin * p.columns, p.w.begin() + end * p.columns);
  for (int64_t i = begin; i < end; ++i)
    for (int64_t j = 0; j < p.columns; ++j) out[(i - begin) * p.columns + j] -= weight(p, i, j);
  return out;
}

// rows x m times G.
std::vector<double> times_gram(const std::vector<double>& x, const Tensor& gram, int64_t rows) {
  const int64_t m = gram.dim(0);
  std::vector<double> out(x.size());
  gemm(Transpose::no, Transpose::no, rows, m, m, 1.0, x.data(), m, gram.data<double>(), m, 0.0,
       out.data(), m);
  return out;
}

void require_fit(const CalibratedSigns& p, const Tensor& gram) {
  require(gram.shape() == Shape{p.columns, p.columns} && p.group > 0 && p.columns % p.group == 0,
          "CalibratedSigns: {} columns in groups of {}, a Gram matrix {}", p.columns, p.group,
          shape_text(gram.shape()));
}

// The rows [begin, end) of update_row_scales.
void update_rows(CalibratedSigns& p, const Tensor& gram, int64_t begin, int64_t end) {
  const int64_t m = p.columns, width = p.group, groups = p.groups(), rows = end - begin;
  std::vector<double> b(static_cast<size_t>(rows * m)),
      products(static_cast<size_t>(groups * rows * m)), grams(static_cast<size_t>(groups * groups)),
      rhs(static_cast<size_t>(groups)), before;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < m; ++j) b[i * m + j] = p.g[p.tied[j]] * p.s[(begin + i) * m + j];
  for (int64_t k = 0; k < groups; ++k)  // b_k^T G
    gemm(Transpose::no, Transpose::no, rows, m, width, 1.0, b.data() + k * width, m,
         gram.data<double>() + k * width * m, m, 0.0, products.data() + k * rows * m, m);
  for (int64_t i = 0; i < rows; ++i) {
    double* h = p.h.data() + (begin + i) * groups;
    before.assign(h, h + groups);
    for (int64_t k = 0; k < groups; ++k) {
      const double* product = products.data() + (k * rows + i) * m;
      rhs[k] = dot(product, p.w.data() + (begin + i) * m, m);
      for (int64_t l = 0; l < groups; ++l)
        grams[k * groups + l] = dot(product + l * width, b.data() + i * m + l * width, width);
    }
    arb_x_round(groups, grams.data(), rhs.data(), 0, h);
    for (int64_t k = 0; k < groups; ++k) {
      if (!(grams[k * groups + k] > 0)) h[k] = before[k];
      if (h[k] >= 0) continue;
      h[k] = -h[k];
      double* s = p.s.data() + (begin + i) * m + k * width;
      for (int64_t j = 0; j < width; ++j) s[j] = -s[j];
    }
  }
}

// The rows [begin, end) of update_signs.
double update_rows_of_signs(CalibratedSigns& p, const Tensor& gram, int64_t begin, int64_t end) {
  const int64_t m = p.columns;
  const double* g = gram.data<double>();
  std::vector<double> rest = residual(p, begin, end), product = times_gram(rest, gram, end - begin);
  double error = 0;
  for (int64_t i = begin; i < end; ++i) {
    double *r = rest.data() + (i - begin) * m, *rg = product.data() + (i - begin) * m;
    for (int64_t j = 0; j < m; ++j) {
      const double step = -2 * weight(p, i, j);  // of w-hat_ij if its sign turns
      const double linear = -2 * step * rg[j], square = step * step * g[j * m + j];
      if (!(linear + square < -kTie * square)) continue;
      p.s[i * m + j] = -p.s[i * m + j];
      r[j] -= step;
      const double* row = g + j * m;
#pragma omp simd
      for (int64_t l = 0; l < m; ++l) rg[l] -= step * row[l];
    }
    error += dot(r, rg, m);
  }
  return error;
}

}  // namespace

double calibrated_error(const CalibratedSigns& p, const Tensor& gram) {
  require_fit(p, gram);
  return parallel_sum(p.rows, kRowBlock, [&](int64_t begin, int64_t end) {
    const std::vector<double> rest = residual(p, begin, end);
    return dot(rest.data(), times_gram(rest, gram, end - begin).data(),
               static_cast<int64_t>(rest.size()));
  });
}

void update_row_scales(CalibratedSigns& p, const Tensor& gram) {
  require_fit(p, gram);
  parallel_for(p.rows, kRowBlock,
               [&](int64_t begin, int64_t end) { update_rows(p, gram, begin, end); });
}

void update_column_scales(CalibratedSigns& p, const Tensor& gram) {
  require_fit(p, gram);
  const int64_t n = p.rows, m = p.columns, numbers = static_cast<int64_t>(p.g.size());
  Tensor a = Tensor::uninitialized({n, m}, DType::f64),
         slopes = Tensor::uninitialized({n, m}, DType::f64),  // A o (W - W-hat) G
      products = Tensor::uninitialized({m, m}, DType::f64),
         system = Tensor::zeros({numbers, numbers}, DType::f64),
         rhs = Tensor::zeros({numbers, 1}, DType::f64), half = rhs.like(), step = rhs.like();
  parallel_for(n, kRowBlock, [&](int64_t begin, int64_t end) {
    const std::vector<double> rg = times_gram(residual(p, begin, end), gram, end - begin);
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < m; ++j) {
        const double at = p.h[i * p.groups() + j / p.group] * p.s[i * m + j];
        a.data<double>()[i * m + j] = at;
        slopes.data<double>()[i * m + j] = at * rg[(i - begin) * m + j];
      }
  });
  gemm(Transpose::yes, Transpose::no, a, a, 0, products);
  const double *pair = products.data<double>(), *g = gram.data<double>();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j)
      rhs.data<double>()[p.tied[j]] += slopes.data<double>()[i * m + j];
  for (int64_t j = 0; j < m; ++j)
    for (int64_t l = 0; l < m; ++l)
      system.data<double>()[p.tied[j] * numbers + p.tied[l]] += pair[j * m + l] * g[j * m + l];
  const Tensor upper = prepare_hessian(system, kDamping).upper;  // (system + lambda I)^-1 = U^T U
  gemm(Transpose::no, Transpose::no, upper, rhs, 0, half);
  gemm(Transpose::yes, Transpose::no, upper, half, 0, step);
  std::vector<bool> turned(p.g.size());
  for (int64_t t = 0; t < numbers; ++t) {
    p.g[t] += step.data<double>()[t];
    turned[t] = p.g[t] < 0;
    p.g[t] = std::abs(p.g[t]);
  }
  if (std::ranges::find(turned, true) == turned.end()) return;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j)
      if (turned[p.tied[j]]) p.s[i * m + j] = -p.s[i * m + j];
}

double update_signs(CalibratedSigns& p, const Tensor& gram) {
  require_fit(p, gram);
  return parallel_sum(p.rows, kRowBlock, [&](int64_t begin, int64_t end) {
    return update_rows_of_signs(p, gram, begin, end);
  });
}

double refine_calibrated(CalibratedSigns& p, const Tensor& gram, bool columns_fixed) {
  double error = calibrated_error(p, gram);
  for (int round = 0; round < kRounds; ++round) {
    update_row_scales(p, gram);
    if (!columns_fixed) update_column_scales(p, gram);
    const double now = update_signs(p, gram);
    const bool enough = now > (1 - kLeastGain) * error;
    error = now;
    if (enough) break;
  }
  return error;
}

}  // namespace halftone
