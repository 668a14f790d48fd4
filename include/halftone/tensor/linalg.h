// Dense linear algebra in double: Eigen, and LAPACK (in OpenBLAS) where size makes the difference.
#pragma once

#include "halftone/tensor/tensor.h"

namespace halftone {

// The upper factor U of a symmetric positive definite A (n x n, F64): A = U^T U, U_ii > 0. Reads
// the lower triangle of A. Throws Error(numerical) naming n when A is not positive definite.
Tensor cholesky_upper(const Tensor& a);

// A^-1 of a symmetric positive definite A (n x n, F64), by Cholesky; symmetric to the last bit.
Tensor inverse_positive_definite(const Tensor& a);

// The upper factor U of A^-1 = U^T U, of a symmetric positive definite A (n x n, F64). With rows
// and columns in reverse order A = R R^T, R upper, and U = R^-1: one Cholesky factorisation and one
// triangular inverse, 2/3 n^3 FLOP. Throws Error(numerical) when A is not positive definite.
Tensor inverse_cholesky_upper(const Tensor& a);

// A = U diag(s) V^T for A (n x m, F64): U (n x k), s (k) in falling order, V (m x k), k = min(n,
// m).
struct SingularValues {
  Tensor u, s, v;
};
SingularValues singular_value_decomposition(const Tensor& a);

}  // namespace halftone
