// What an optimiser does to one parameter's numbers.
#pragma once

#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

// What a step multiplies by.
struct AdamWCoefficients {
  double gradient;      // of the gradient: g = gradient grad
  double beta1, beta2;  // m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
  double v_scale;       // w <- keep w - rate m / (sqrt(v_scale v) + epsilon)
  double epsilon;
};

// A parameter, its gradient and its moments: F32, n numbers each.
struct AdamWNumbers {
  const Tensor* grad;
  Tensor *w, *m, *v;
  double keep, rate;  // of w
  bool counted;       // the signs that change
};

// One step on each, all on one device. flips (one number, F64) += the entries of those that are
// counted which changed their sign (sign(0) = +1).
void adamw_update(const std::vector<AdamWNumbers>& all, const AdamWCoefficients& c, Tensor& flips);

// Step t (from 1) of Adam (Kingma and Ba, 2015) with betas 0.9 and 0.999 and epsilon 1e-8 on w
// (F32), with moments in F64 and in F64 throughout. For the few numbers of a block's norms.
void adam_update(const Tensor& grad, int64_t t, double rate, Tensor& w, Tensor& m, Tensor& v);

// Numbers that a loop over a tensor takes at a time, from its first on: parts of a tensor that
// begin at a multiple are computed as in the whole.
inline constexpr int64_t kUpdateBlock = 1 << 14;

// sum_i x_i^2 by blocks of kUpdateBlock numbers of each tensor (F32, all on one device), tensor
// after tensor, in a fixed order; NaN or infinite if an x_i is.
std::vector<double> block_sums_of_squares(const std::vector<Tensor>& xs);

// Those added up: a tensor's blocks from its first on, then the tensors.
double sum_of_squares(const std::vector<Tensor>& xs);

}  // namespace halftone
