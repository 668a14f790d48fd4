// The loss of norm tweaking (methods 6): how far the channels' means and variances are apart.
#pragma once

#include "halftone/autograd/tape.h"

namespace halftone {

// (1/C) sum_c |mu_t,c - mu_x,c| + |var_t,c - var_x,c|, mean and unbiased variance of each channel
// over the T rows of x, t (T x C), T >= 2.
//   dx_tc += dy (1/C) [sgn(mu_x - mu_t) / T + sgn(var_x - var_t) 2 (x_tc - mu_x) / (T - 1)]
// with sgn(0) = 0; t has no gradient. Saves x and the channels' signs.
Var channel_distance(const Var& x, const Tensor& t);

}  // namespace halftone
