#include "compress/calibrated_start.h"

#include <algorithm>
#include <cmath>

#include "halftone/quant/calibrated_signs.h"
#include "halftone/quant/latent.h"
#include "halftone/tensor/numbers.h"

namespace halftone {
namespace {

// One matrix below the other.
CalibratedSigns stacked(const std::vector<StartedLinear>& linears, const StartedInScale& in) {
  const int64_t columns = linears.front().weight->dim(1);
  CalibratedSigns out{
      .columns = columns, .tied = {}, .w = {}, .s = {}, .h = {}, .g = values_of(in.g)};
  for (const StartedLinear& linear : linears) {
    out.rows += linear.weight->dim(0);
    for (const double w : values_of(*linear.weight)) out.w.push_back(w);
    for (const double x : values_of(linear.latent->value)) out.s.push_back(x >= 0 ? 1 : -1);
    for (const double h : values_of(linear.out_scale->value)) out.h.push_back(h);
  }
  out.group = columns * out.rows / static_cast<int64_t>(out.h.size());
  const int64_t heads = in.repeats * in.head_dim;
  for (int64_t j = 0; j < columns; ++j)
    out.tied.push_back(j / heads * in.head_dim + j % in.head_dim);
  return out;
}

double norm(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return std::sqrt(sum);
}

// The next numbers from `from` on, which moves behind them.
Tensor next_numbers(std::vector<double>::const_iterator& from, const Shape& shape) {
  const auto first = from;
  from += numel(shape);
  return Tensor::of(shape, std::vector<double>(first, from)).to(DType::f32);
}

}  // namespace

double refine_start(const std::vector<StartedLinear>& linears, StartedInScale& in,
                    const Tensor& hessian) {
  CalibratedSigns p = stacked(linears, in);
  CalibratedSigns nothing = p;
  std::ranges::fill(nothing.h, 0);
  const double whole = calibrated_error(nothing, hessian), size = norm(p.g),
               error = refine_calibrated(p, hessian, in.fixed),
               k = norm(p.g) > 0 ? size / norm(p.g) : 1;
  for (double& g : p.g) g *= k;
  for (double& h : p.h) h /= k;
  in.g = Tensor::of(in.g.shape(), p.g).to(DType::f32);
  auto h = p.h.cbegin(), s = p.s.cbegin();
  for (const StartedLinear& linear : linears) {
    Param &scale = *linear.out_scale, &latent = *linear.latent;
    scale.value = next_numbers(h, scale.value.shape());
    latent.value = with_signs(latent.value, next_numbers(s, latent.value.shape()));
  }
  return whole > 0 ? std::sqrt(std::max(error, 0.0) / whole) : 0;
}

}  // namespace halftone
