// Linears become OneBit layers by SVID.
#include "halftone/compress/onebit_start.h"

#include "halftone/quant/latent.h"
#include "halftone/quant/svid.h"

namespace halftone {
namespace {

Tensor start_latent(const Tensor& w, const StudentSettings& settings) {
  const double scale = resolved_latent_scale(settings);
  return settings.latent_init == LatentInit::magnitude ? magnitude_latent(w, scale)
                                                       : sign_latent(w, scale);
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
