// Matrices of +-d, one magnitude d for each group of neighbouring columns of a row: those that two
// bits a weight and a scale a group hold to the last bit.
#pragma once

#include <cstdint>
#include <optional>

#include "halftone/tensor/tensor.h"

namespace halftone {

// Two weights of one group whose magnitudes differ.
struct UnequalPair {
  int64_t row, first, second;  // columns
  float at_first, at_second;   // weights
};

// The first such pair in W (n x m, F32), row by row; nothing: each group has one magnitude. NaN
// differs from all. Throws std::invalid_argument where `group` does not divide m.
std::optional<UnequalPair> unequal_pair(const Tensor& w, int64_t group);

// d, n x m / group, in F32: of the first column of each group.
Tensor group_magnitudes(const Tensor& w, int64_t group);

// The codes of the signs, 3 for +d (0 too) and 1 for -d, in I32, n x ceil(m / 16): column 16k + j
// is bits 2j and 2j + 1 of number k of its row, unused bits 0. With 2 as zero, w = d (code - 2).
Tensor pack_sign_codes(const Tensor& w);

// Of codes packed so, m to a row: their signs as pack_signs() has them, U8 n x ceil(m / 8); an
// undefined tensor where a code is neither 1 nor 3.
Tensor signs_of_codes(const Tensor& packed, int64_t m);

// Of any codes, 0 to 3: w = d (code - 2), n x m in F32, d of n x groups.
Tensor weights_of_codes(const Tensor& packed, const Tensor& d, int64_t m);

}  // namespace halftone
