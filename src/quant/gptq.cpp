#include "halftone/quant/gptq.h"

#include <algorithm>
#include <numeric>

#include "halftone/base/threads.h"
#include "halftone/quant/error_feedback.h"
#include "halftone/quant/hessian.h"
#include "uniform_matrix.h"

namespace halftone {
namespace {

// Columns by falling diagonal of H, ties by index; empty without act_order.
std::vector<int32_t> column_order(const Tensor& hessian, const PtqSettings& settings) {
  if (!settings.act_order) return {};
  const int64_t m = hessian.dim(0);
  std::vector<int32_t> order(static_cast<size_t>(m));
  std::iota(order.begin(), order.end(), 0);
  const double* h = hessian.data<double>();
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return h[a * m + a] > h[b * m + b]; });
  return order;
}

Tensor permuted_hessian(const Tensor& hessian, const std::vector<int32_t>& order) {
  if (order.empty()) return hessian;
  const int64_t m = hessian.dim(0);
  Tensor out = Tensor::uninitialized({m, m}, DType::f64);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j)
      out.data<double>()[i * m + j] = hessian.data<double>()[order[i] * m + order[j]];
  return out;
}

// Codes a row of a block column by column; each error goes to the row's later columns at once.
void code_row(const FeedbackBlock& block, int64_t i, const auto& column,
              const PtqSettings& settings, UniformMatrix& out) {
  double *row = block.weights + i * block.stride, *e = block.errors + i * block.width;
  Grid grid;
  for (int64_t k = 0; k < block.width; ++k) {
    const int64_t p = block.first + k, g = p / out.width;
    if (p % out.width == 0) {
      const int64_t group_end = std::min(out.columns, p + out.width) - block.first;
      grid = fit_grid({row + k, row + group_end}, settings);
      out.set_grid(i, g, grid);
    } else if (k == 0) {
      grid = out.grids[i * out.groups + g];
    }
    const int code = grid.code(row[k]);
    out.codes[i * out.columns + column(p)] = static_cast<uint8_t>(code);
    const double* u = block.upper + k * block.stride;
    const double error = (row[k] - grid.value(code)) / u[k];
    for (int64_t q = k; q < block.width; ++q) row[q] -= error * u[q];
    e[k] = error;
  }
}

}  // namespace

LowBitMatrix gptq(const Tensor& w, const Tensor& hessian, const PtqSettings& settings) {
  const int64_t n = w.dim(0), m = w.dim(1);
  const std::vector<int32_t> order = column_order(hessian, settings);
  const PreparedHessian prepared =
      prepare_hessian(permuted_hessian(hessian, order), settings.damp_percent);
  const auto column = [&](int64_t position) { return order.empty() ? position : order[position]; };

  // W by positions, dead columns zeroed; later blocks are updated in place.
  Tensor current = Tensor::uninitialized({n, m}, DType::f64);
  double* x = current.data<double>();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t p = 0; p < m; ++p)
      x[i * m + p] = prepared.dead[p] ? 0 : w.data<float>()[i * m + column(p)];

  UniformMatrix out(n, m, settings);
  feed_errors(current, prepared, settings.blocksize, [&](const FeedbackBlock& block) {
    parallel_for(n, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) code_row(block, i, column, settings, out);
    });
    return true;
  });
  return out.pack(order);
}

}  // namespace halftone
