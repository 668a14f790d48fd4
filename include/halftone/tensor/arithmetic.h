// Sums and multiples of tensors, number by number; F32 or F64 where nothing else is said.
#pragma once

#include "halftone/base/rng.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

// out = a + b; out may be a or b.
void add(const Tensor& a, const Tensor& b, Tensor& out);
// out = c x; out may be x.
void scale(const Tensor& x, double c, Tensor& out);
// x = factor x for a factor of one number, which lies where x does: nothing waits for it.
void scale_by(const Tensor& factor, Tensor& x);
// Each row of x (n x ..., F32) times its number of `factors` (n).
void scale_rows(const Tensor& factors, Tensor& x);
// x + c, in F64 where x is, else in F32.
Tensor shifted(const Tensor& x, double c);
// x_i = deviation times the next number of a normal distribution, i rising; F32.
void fill_normal(Tensor& x, double deviation, Rng& rng);

}  // namespace halftone
