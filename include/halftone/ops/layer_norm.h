// Layer normalisation without affine parameters.
#pragma once

#include "halftone/autograd/tape.h"

namespace halftone {

// z_n = (y_n - mean_n) r_n over the C columns of a row, r = (var + eps)^(-1/2), biased variance.
// dy += r (dz - mean(dz) - z mean(dz o z)). Saves z and r.
Var layer_norm(const Var& y, double eps);

}  // namespace halftone
