// Latent weights that have the signs of a matrix.
#pragma once

#include "halftone/tensor/tensor.h"

namespace halftone {

// k W with a mean magnitude of `mean`; zeros where W is zero throughout. W in F32.
Tensor magnitude_latent(const Tensor& w, double mean);
// level sign(W), sign(0) = +1.
Tensor sign_latent(const Tensor& w, double level);
// The magnitudes of `latent` with the signs of s (sign(0) = +1); both in F32, of one shape. A 0
// that must be below 0 becomes the least normal number there.
Tensor with_signs(const Tensor& latent, const Tensor& s);

}  // namespace halftone
