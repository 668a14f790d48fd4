// Sums and products of whole tensors.
#pragma once

#include "halftone/autograd/tape.h"

namespace halftone {

// y = a + b, same shape. da += dy, db += dy. Saves nothing.
Var add(const Var& a, const Var& b);

// y = c x. dx += c dy. Saves nothing.
Var scale(const Var& x, double c);

// y = x in another dtype, F32 or BF16; x itself where it has it. dx += dy. Saves nothing.
Var cast(const Var& x, DType dtype);

// y = sum_i w_i x_i, one element; a test's way to make a loss of any output. dx_i += w_i dy.
Var weighted_sum(const Var& x, const Tensor& w);

}  // namespace halftone
