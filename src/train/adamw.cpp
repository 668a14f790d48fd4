// AdamW's coefficients of a step, and the gradient's norm.
#include "halftone/train/adamw.h"

#include <algorithm>
#include <cmath>

#include "halftone/ops/adamw.h"

namespace halftone {

AdamWSettings adamw_settings(const TrainSettings& s) {
  return {.beta1 = s.adam_beta1,
          .beta2 = s.adam_beta2,
          .epsilon = s.adam_epsilon,
          .weight_decay = s.weight_decay,
          .embedding_lr_mult = s.embedding_lr_mult,
          .vector_lr_mult = s.vector_lr_mult};
}

Moments no_moments(const Tensor& value) {
  const auto zeros = [&] { return Tensor::zeros(value.shape(), DType::f32, value.device()); };
  return {zeros(), zeros()};
}

double AdamWSettings::lr_mult(ParamRole role) const {
  switch (role) {
    case ParamRole::embedding:
      return embedding_lr_mult;
    case ParamRole::scale:
    case ParamRole::norm:
    case ParamRole::bias:
      return vector_lr_mult;
    case ParamRole::latent:
      return latent_lr_mult;
    case ParamRole::weight:
      return 1;
  }
  return 1;
}

void adamw_step(const std::vector<Param*>& params, std::vector<Moments>& moments, int64_t step,
                double learning_rate, double scale, const AdamWSettings& s, Tensor& flips) {
  const double steps = static_cast<double>(step);
  std::vector<AdamWNumbers> all;
  all.reserve(params.size());
  for (size_t i = 0; i < params.size(); ++i) {
    Param& param = *params[i];
    if (!param.grad.filled) {
      if (!param.grad.tensor.defined()) param.grad.tensor = param.value.like();
      param.grad.tensor.fill(0);
    }
    const double rate = learning_rate * s.lr_mult(param.role);
    all.push_back({.grad = &param.grad.tensor,
                   .w = &param.value,
                   .m = &moments[i].m,
                   .v = &moments[i].v,
                   .keep = 1.0 - (param.decays() ? rate * s.weight_decay : 0.0),
                   .rate = rate / (1.0 - std::pow(s.beta1, steps)),
                   .counted = param.role == ParamRole::latent});
  }
  adamw_update(all,
               {.gradient = scale,
                .beta1 = s.beta1,
                .beta2 = s.beta2,
                .v_scale = 1.0 / (1.0 - std::pow(s.beta2, steps)),
                .epsilon = s.epsilon},
               flips);
}

double clip_factor(double norm, double max_norm) {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

double squared_gradient_norm(const std::vector<Param*>& params) {
  std::vector<Tensor> gradients;
  for (const Param* param : params)
    if (param->grad.filled) gradients.push_back(param->grad.tensor);
  return sum_of_squares(gradients);
}

}  // namespace halftone
