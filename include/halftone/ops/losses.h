// Distances between a student's and a teacher's activations.
#pragma once

#include "halftone/autograd/tape.h"

namespace halftone {

// mean over the N rows of |x_n / |x_n| - t_n / |t_n||^2, norms at least 1e-12; x, t (N x C).
// With unit vectors x^, t^:  dx_n += 2 dy (I - x^ x^^T)(x^ - t^) / (|x_n| N). t has no gradient.
// The hidden-state loss of OneBit (arXiv 2402.11295, equation 9). Saves x and t.
Var normalised_mse(const Var& x, const Tensor& t);

// mean over all elements of (x - t)^2.  dx += 2 dy (x - t) / numel. Saves x and t.
Var mse(const Var& x, const Tensor& t);

}  // namespace halftone
