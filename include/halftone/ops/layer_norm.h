// Layer normalisation without affine parameters.
#pragma once

#include "halftone/autograd/tape.h"

namespace halftone {

// z_n = (y_n - mean_n) r_n over the C columns of a row, r = (var + eps)^(-1/2), biased variance.
// dy += r (dz - mean(dz) - z mean(dz o z)). Saves z and r.
Var layer_norm(const Var& y, double eps);

// The same without a tape: z from y (they may be one tensor), each row's r; then dy from dz.
void normalise_rows(const Tensor& y, double eps, Tensor& z, Tensor& r);
Tensor normalise_rows_backward(const Tensor& z, const Tensor& r, const Tensor& dz);

}  // namespace halftone
