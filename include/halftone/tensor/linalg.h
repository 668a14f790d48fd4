// Dense linear algebra in double, over Eigen: Cholesky, inverse, singular values.
#pragma once

#include "halftone/tensor/tensor.h"

namespace halftone {

// The upper factor U of a symmetric positive definite A (n x n, F64): A = U^T U, U_ii > 0. Reads
// the lower triangle of A. Throws Error(numerical) naming n when A is not positive definite.
Tensor cholesky_upper(const Tensor& a);

// A^-1 of a symmetric positive definite A (n x n, F64), by Cholesky; symmetric to the last bit.
Tensor inverse_positive_definite(const Tensor& a);

// A = U diag(s) V^T for A (n x m, F64): U (n x k), s (k) in falling order, V (m x k), k = min(n,
// m).
struct SingularValues {
  Tensor u, s, v;
};
SingularValues singular_value_decomposition(const Tensor& a);

}  // namespace halftone
