// The product of a few tokens with a matrix of signs: the sums of four inputs +-a +-b +-c +-d stand
// in a table of 16 that fills a vector register, and an instruction that permutes its elements
// looks 16 rows up at once. (T-MAC, Wei et al., 2024, in idea, with floats.)
#pragma once

#include "halftone/tensor/sign_tiles.h"

namespace halftone {

// y (N x O) = x' W^T, x' = x o x_scale, of each product, N up to kFewTokens.
void sign_gemv(const Tensor& x, std::vector<SignProduct>& products);

}  // namespace halftone
