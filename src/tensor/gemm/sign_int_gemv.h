// The product of inputs in whole numbers with a matrix of signs: the sums of four inputs
// +-a +-b +-c +-d stand in a table of 16, whose low and high bytes fill a vector register each, and
// two instructions that shuffle bytes look them up for as many rows as the register has bytes.
// (T-MAC, Wei et al., 2024, with sums of 16 bits, which are exact.)
#pragma once

#include "halftone/tensor/sign_tiles.h"

namespace halftone {

// y (N x O) = q W^T of each product, N up to kFewTokens, q the inputs x o x_scale rounded as
// SignInputs::int11 says.
void sign_int_gemv(const Tensor& x, std::vector<SignProduct>& products);

}  // namespace halftone
