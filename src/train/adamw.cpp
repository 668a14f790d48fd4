// AdamW's coefficients of a step, and the gradient's norm.
#include "halftone/train/adamw.h"

#include <cmath>

#include "halftone/ops/adamw.h"

namespace halftone {

void adamw_step(Param& param, Moments& moments, int64_t step, double learning_rate, double scale,
                const AdamWSettings& s, Tensor& flips) {
  if (!param.grad.filled) {
    if (!param.grad.tensor.defined()) param.grad.tensor = param.value.like();
    param.grad.tensor.fill(0);
  }
  const double steps = static_cast<double>(step);
  adamw_update(param.grad.tensor,
               {.gradient = scale,
                .beta1 = s.beta1,
                .beta2 = s.beta2,
                .keep = 1.0 - (param.decays() ? learning_rate * s.weight_decay : 0.0),
                .rate = learning_rate / (1.0 - std::pow(s.beta1, steps)),
                .v_scale = 1.0 / (1.0 - std::pow(s.beta2, steps)),
                .epsilon = s.epsilon},
               param.value, moments.m, moments.v, flips);
}

double squared_gradient_norm(const std::vector<Param*>& params) {
  std::vector<Tensor> gradients;
  for (const Param* param : params)
    if (param->grad.filled) gradients.push_back(param->grad.tensor);
  return sum_of_squares(gradients);
}

}  // namespace halftone
