// Sums of outer products of rows.
#pragma once

#include "halftone/tensor/tensor.h"

namespace halftone {

// The upper triangle of sum (m x m, F64) += X^T X for X (n x m, F32), by panels of columns;
// products of up to 2048 rows are summed in F32. A little more than n m^2 FLOP.
void add_gram(const Tensor& x, Tensor& sum);

// k (U + U^T - diag U): the whole of a symmetric matrix (m x m, F64) whose upper triangle is known.
Tensor symmetric(const Tensor& upper, double k);

}  // namespace halftone
