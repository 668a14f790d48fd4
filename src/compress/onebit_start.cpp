#include "halftone/compress/onebit_start.h"

#include <cmath>

#include "halftone/base/threads.h"
#include "halftone/quant/svid.h"

namespace halftone {
namespace {

double mean_magnitude(const Tensor& w) {
  const float* x = w.data<float>();
  const double sum = parallel_sum(w.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    double part = 0;
    for (int64_t i = begin; i < end; ++i) part += std::abs(static_cast<double>(x[i]));
    return part;
  });
  return sum / static_cast<double>(w.numel());
}

Tensor start_latent(const Tensor& w, const StudentSettings& settings) {
  Tensor latent = Tensor::uninitialized(w.shape(), DType::f32);
  const double scale = resolved_latent_scale(settings), mean = mean_magnitude(w);
  const float k = static_cast<float>(mean > 0 ? scale / mean : 0.0),
              level = static_cast<float>(scale);
  for (int64_t i = 0; i < w.numel(); ++i) {
    const float x = w.data<float>()[i];
    latent.data<float>()[i] = settings.latent_init == LatentInit::magnitude ? k * x
                              : x >= 0                                      ? level
                                                                            : -level;
  }
  return latent;
}

std::unique_ptr<OneBitLinear> start(const LinearLike& linear, const Tensor& weight,
                                    const StudentSettings& settings, double& error) {
  Svid factors = svid(weight, settings.svid, settings.svid_split);
  error = factors.relative_error;
  return std::make_unique<OneBitLinear>(
      linear.name, start_latent(weight, settings), factors.in_scale, factors.out_scale,
      linear.bias.value.clone(),
      OneBitOptions{.post_layer_norm = settings.post_layer_norm, .ste = settings.ste});
}

}  // namespace

double start_onebit(Decoder& student, const StudentSettings& settings) {
  double sum = 0;
  int64_t count = 0;
  student.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    const Tensor* weight = linear->full_precision();
    require(weight, "start_onebit: '{}' is quantised already", linear->name);
    double error = 0;
    linear = start(*linear, *weight, settings, error);
    sum += error;
    ++count;
  });
  return count ? sum / static_cast<double>(count) : 0;
}

}  // namespace halftone
