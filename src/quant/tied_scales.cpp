// Tied input scales, and output scales of groups.
#include "halftone/quant/tied_scales.h"

#include <cmath>

#include "halftone/base/threads.h"

namespace halftone {

Tensor stacked_rows(const std::vector<Tensor>& matrices) {
  require(!matrices.empty(), "stacked_rows: no matrix");
  int64_t rows = 0;
  for (const Tensor& w : matrices) {
    require(w.rank() == 2 && w.dim(1) == matrices.front().dim(1), "stacked_rows: {} under {}",
            shape_text(w.shape()), shape_text(matrices.front().shape()));
    rows += w.dim(0);
  }
  Tensor out = Tensor::uninitialized({rows, matrices.front().dim(1)}, DType::f32);
  float* to = out.data<float>();
  for (const Tensor& w : matrices) to = std::copy_n(w.data<float>(), w.numel(), to);
  return out;
}

Tensor summed_heads(const Tensor& w, int64_t repeats, int64_t head_dim) {
  const int64_t n = w.dim(0), m = w.dim(1), tied = repeats * head_dim;
  require(tied > 0 && m % tied == 0, "summed_heads: {} in {} heads of {}", shape_text(w.shape()),
          repeats, head_dim);
  Tensor out = Tensor::zeros({n, m / repeats}, DType::f32);
  const float* from = w.data<float>();
  float* to = out.data<float>();
  parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin * (m / tied); k < end * (m / tied); ++k)
      for (int64_t j = 0; j < tied; ++j)
        to[k * head_dim + j % head_dim] += std::abs(from[k * tied + j]);
  });
  return out;
}

Tensor repeated_heads(const Tensor& v, int64_t repeats, int64_t head_dim) {
  require(head_dim > 0 && v.numel() % head_dim == 0, "repeated_heads: {} in heads of {}",
          shape_text(v.shape()), head_dim);
  Tensor out = Tensor::uninitialized({repeats * v.numel()}, DType::f32);
  const float* from = v.data<float>();
  float* to = out.data<float>();
  for (int64_t head = 0; head < repeats * v.numel() / head_dim; ++head)
    std::copy_n(from + head / repeats * head_dim, head_dim, to + head * head_dim);
  return out;
}

GroupScales group_scales(const Tensor& w, const Tensor& g, int64_t width) {
  const int64_t n = w.dim(0), m = w.dim(1);
  require(g.shape() == Shape{m} && width > 0 && m % width == 0, "group_scales: {}, g {}, groups {}",
          shape_text(w.shape()), shape_text(g.shape()), width);
  const int64_t groups = m / width;
  GroupScales out{Tensor::uninitialized({n, groups}, DType::f32), 0};
  const float *ws = w.data<float>(), *gs = g.data<float>();
  float* cs = out.scales.data<float>();
  double squares = 0, error = 0;
  for (int64_t k = 0; k < n * groups; ++k) {
    const float *row = ws + k * width, *factor = gs + k % groups * width;
    double ww = 0, wg = 0, gg = 0;
    for (int64_t j = 0; j < width; ++j) {
      const double a = std::abs(static_cast<double>(row[j])), b = factor[j];
      ww += a * a;
      wg += a * b;
      gg += b * b;
    }
    const double c = gg > 0 ? wg / gg : 0;
    cs[k] = static_cast<float>(c);
    squares += ww;
    error += ww - c * wg;
  }
  out.relative_error = squares > 0 ? std::sqrt(std::max(error, 0.0) / squares) : 0;
  return out;
}

}  // namespace halftone
