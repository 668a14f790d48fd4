// Sums of outer products of rows.
#pragma once

#include "halftone/tensor/tensor.h"

namespace halftone {

inline constexpr int64_t kGramRows = 2048;

// The upper triangle of sum (m x m, F64) += X^T X for X (n x m, F32), by panels of columns;
// products of up to kGramRows rows are summed in F32. A little more than n m^2 FLOP.
void add_gram(const Tensor& x, Tensor& sum);

// k (U + U^T - diag U): the whole of a symmetric matrix (m x m, F64) whose upper triangle is known.
Tensor symmetric(const Tensor& upper, double k);

// Its numbers on and above the diagonal, row by row (m (m + 1) / 2, F64, on the CPU), and a matrix
// that has them there.
Tensor upper_triangle(const Tensor& upper);
Tensor from_upper_triangle(const Tensor& triangle, int64_t m);

}  // namespace halftone
