// Layer normalisation (Ba et al., 2016), bare and with a gain and a bias.
#pragma once

#include "halftone/autograd/tape.h"

namespace halftone {

// z_n = (x_n - mean_n) r_n over the C columns of a row, r = (var + eps)^(-1/2), biased variance.
// dx += r (dz - mean(dz) - z mean(dz o z)). Saves z and r.
Var layer_norm(const Var& x, double eps);

// y = z o gain + bias; x (N x C), gain and bias (C). With dz = dy o gain as above, and
// dgain_c += sum_n dy_nc z_nc, dbias_c += sum_n dy_nc.
Var layer_norm(const Var& x, const Var& gain, const Var& bias, double eps);

}  // namespace halftone
