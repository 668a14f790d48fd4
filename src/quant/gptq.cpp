#include "halftone/quant/gptq.h"

#include <algorithm>
#include <numeric>

#include "halftone/base/threads.h"
#include "halftone/quant/hessian.h"
#include "halftone/tensor/gemm.h"
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

}  // namespace

LowBitMatrix gptq(const Tensor& w, const Tensor& hessian, const PtqSettings& settings) {
  const int64_t n = w.dim(0), m = w.dim(1), b = settings.blocksize;
  const std::vector<int32_t> order = column_order(hessian, settings);
  const PreparedHessian prepared =
      prepare_hessian(permuted_hessian(hessian, order), settings.damp_percent);
  const double* u = prepared.upper.data<double>();
  const auto column = [&](int64_t position) { return order.empty() ? position : order[position]; };

  // W by positions, dead columns zeroed; later blocks are updated in place.
  Tensor current = Tensor::uninitialized({n, m}, DType::f64);
  double* x = current.data<double>();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t p = 0; p < m; ++p)
      x[i * m + p] = prepared.dead[p] ? 0 : w.data<float>()[i * m + column(p)];

  UniformMatrix out(n, m, settings);
  Tensor errors = Tensor::uninitialized({n, std::min(b, m)}, DType::f64);
  for (int64_t first = 0; first < m; first += b) {
    const int64_t last = std::min(m, first + b), width = last - first;
    double* e = errors.data<double>();
    parallel_for(n, 16, [&](int64_t begin, int64_t end) {
      Grid grid;
      for (int64_t i = begin; i < end; ++i)
        for (int64_t p = first; p < last; ++p) {
          double* row = x + i * m;
          const int64_t g = p / out.width;
          if (p % out.width == 0) {
            const int64_t group_end = std::min(m, p + out.width);
            grid = fit_grid({row + p, row + group_end}, settings);
            out.set_grid(i, g, grid);
          } else if (p == first) {
            grid = out.grids[i * out.groups + g];
          }
          const int code = grid.code(row[p]);
          out.codes[i * m + column(p)] = static_cast<uint8_t>(code);
          const double error = (row[p] - grid.value(code)) / u[p * m + p];
          for (int64_t q = p; q < last; ++q) row[q] -= error * u[p * m + q];
          e[i * width + p - first] = error;
        }
    });
    if (last < m)
      gemm(Transpose::no, Transpose::no, n, m - last, width, -1.0, e, width, u + first * m + last,
           m, 1.0, x + last, m);
  }
  return out.pack(order);
}

}  // namespace halftone
