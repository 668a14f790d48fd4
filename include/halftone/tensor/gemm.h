// Matrix products: the only callers of the BLAS. Row-major; leading dimension = row stride. Large
// products of floats go to sgemm, where the CPU has what it needs.
#pragma once

#include <cstdint>
#include <string>

#include "halftone/tensor/sgemm.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

// C (m x n) = alpha op(A) op(B) + beta C, op(A) m x k, op(B) k x n; float or double.
void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, double alpha,
          const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
          int64_t ldc);

// The same where an operand's elements are made on the way (alpha = 1, beta 0 or 1).
void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, const Factor& a,
          const Factor& b, float beta, float* c, int64_t ldc);

// c = op(a) op(b) + beta c for tensors of rank 2; shapes are checked.
void gemm(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, double beta, Tensor& c);

// The BLAS and the kernels it chose, for instance "OpenBLAS 0.3.21 SkylakeX".
std::string blas_name();

// The BLAS itself runs on one thread: products are split by rows of C among the threads of base.

}  // namespace halftone
