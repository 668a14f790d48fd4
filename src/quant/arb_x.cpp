#include "halftone/quant/arb_x.h"

#include <algorithm>

#include "halftone/base/threads.h"
#include "halftone/quant/arb.h"
#include "halftone/quant/grid.h"
#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

constexpr int64_t kRowBlock = 32;

// The vectors of one row over the block's columns, zero outside their group: m, b_1 [, b_2] a
// group.
struct RowVectors {
  std::vector<double> v;            // n x width
  std::vector<int64_t> group;       // of each vector
  std::vector<double> coefficient;  // mu, alpha_1 [, alpha_2]
};

void start_row(BlockCode& code, int64_t row, const std::vector<double>& w, int iterations,
               RowVectors& out) {
  const int64_t width = code.partition.width;
  GatheredRow gathered;
  BinaryRow found;
  out = {};
  for (int64_t g = 0; g < code.groups(); ++g) {
    gather(code, row, g, w.data(), gathered);
    arb(gathered.x, code.order(g), iterations, found);
    store_row(code, row, g, gathered, found);
    for (int k = -1; k < found.order; ++k) {
      out.group.push_back(g);
      out.coefficient.push_back(k < 0 ? found.mu : found.alpha[k]);
      const size_t first = out.v.size();
      out.v.resize(first + static_cast<size_t>(width), 0);
      for (size_t j = 0; j < gathered.columns.size(); ++j)
        out.v[first + gathered.columns[j]] = k < 0 ? 1 : found.b[k][j];
    }
  }
}

void store_scales(BlockCode& code, int64_t row, const std::vector<double>& coefficient) {
  double* numbers = code.row_value.data() + row * code.row_values;
  for (size_t c = 0, g = 0; c < coefficient.size(); ++g) {
    const int order = code.order(static_cast<int64_t>(g));
    for (int k = 0; k < order; ++k) *numbers++ = half_value(coefficient[c + 1 + k]);
    *numbers++ = half_value(coefficient[c]);
    c += static_cast<size_t>(order) + 1;
  }
}

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t j = 0; j < n; ++j) sum += a[j] * b[j];
  return sum;
}

}  // namespace

void arb_x_round(int64_t n, const double* gram, const double* rhs, double eps,
                 double* coefficient) {
  for (int64_t p = 0; p < n; ++p) {
    double numerator = rhs[p];
    for (int64_t q = 0; q < n; ++q)
      if (q != p) numerator -= gram[p * n + q] * coefficient[q];
    // A vector of an empty group has no norm and keeps its zero.
    const double norm = gram[p * n + p];
    coefficient[p] = norm > 0 ? numerator / (norm + eps) : 0;
  }
}

void arb_x(BlockCode& code, const std::vector<double>& w, const std::vector<double>& s,
           int iterations, bool joint) {
  const int64_t width = code.partition.width;
  double trace = 0;
  for (int64_t j = 0; j < width; ++j) trace += s[j * width + j];
  const double eps = 1e-10 * trace / static_cast<double>(width);
  parallel_for(code.partition.rows, kRowBlock, [&](int64_t begin, int64_t end) {
    std::vector<RowVectors> rows(static_cast<size_t>(end - begin));
    std::vector<double> stacked, products;
    for (int64_t i = begin; i < end; ++i) {
      start_row(code, i, w, iterations, rows[i - begin]);
      stacked.insert(stacked.end(), rows[i - begin].v.begin(), rows[i - begin].v.end());
    }
    products.resize(stacked.size());
    gemm(Transpose::no, Transpose::no, static_cast<int64_t>(stacked.size()) / width, width, width,
         1.0, stacked.data(), width, s.data(), width, 0.0, products.data(), width);
    const double* vs = products.data();
    std::vector<double> gram, rhs;
    for (int64_t i = begin; i < end; ++i) {
      RowVectors& row = rows[i - begin];
      const int64_t n = static_cast<int64_t>(row.group.size());
      gram.assign(static_cast<size_t>(n * n), 0);
      rhs.assign(static_cast<size_t>(n), 0);
      for (int64_t p = 0; p < n; ++p, vs += width) {
        for (int64_t j = 0; j < width; ++j)
          if (joint || code.group_of(i, j) == row.group[p]) rhs[p] += vs[j] * w[i * width + j];
        for (int64_t q = 0; q < n; ++q)
          if (joint || row.group[p] == row.group[q])
            gram[p * n + q] = dot(vs, row.v.data() + q * width, width);
      }
      for (int t = 0; t < iterations; ++t)
        arb_x_round(n, gram.data(), rhs.data(), eps, row.coefficient.data());
      store_scales(code, i, row.coefficient);
    }
  });
}

}  // namespace halftone
