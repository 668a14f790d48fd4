// AdamW (Loshchilov and Hutter, 2019).
#pragma once

#include <vector>

#include "halftone/autograd/tape.h"
#include "halftone/train/settings.h"

namespace halftone {

struct AdamWSettings {
  double beta1 = 0.9, beta2 = 0.98, epsilon = 1e-8, weight_decay = 0.01;
  // Times the learning rate: of embeddings and heads; of scales, norms and biases; of latent
  // weights.
  double embedding_lr_mult = 1, vector_lr_mult = 1, latent_lr_mult = 1;

  double lr_mult(ParamRole role) const;
};

AdamWSettings adamw_settings(const TrainSettings& settings);

// First and second moments of one parameter.
struct Moments {
  Tensor m, v;
};

// Of a parameter before its first step.
Moments no_moments(const Tensor& value);

// Step number `step` (from 1) on each parameter with gradient `scale` * grad:
//   g = scale grad;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
//   w <- (1 - lr wd) w - lr (m / (1 - b1^step)) / (sqrt(v / (1 - b2^step)) + eps),
// lr being the learning rate times what the settings say of its role.
// No decay where !param.decays(). A gradient that was never filled counts as zero.
// flips (one number, F64) += the entries of latent weights that changed their sign (sign(0) = +1).
void adamw_step(const std::vector<Param*>& params, std::vector<Moments>& moments, int64_t step,
                double learning_rate, double scale, const AdamWSettings& settings, Tensor& flips);

// What gradients of a norm are multiplied by so that it is at most max_norm (0: by 1).
double clip_factor(double norm, double max_norm);

// Sum of squares over all filled gradients, in a fixed order; NaN or infinite if one is.
double squared_gradient_norm(const std::vector<Param*>& params);

}  // namespace halftone
