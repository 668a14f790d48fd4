// Matrix products. Row-major; leading dimension = row stride. Which kernel computes one is told in
// src/tensor/gemm/README.md.
#pragma once

#include <cstdint>
#include <string>

#include "halftone/base/half.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

enum class Transpose { no, yes };

// A stored matrix, row-major with a row stride, and how its elements are read.
struct Factor {
  enum class Kind {
    f32,
    f16,
    q8_0,
  };
  Kind kind = Kind::f32;
  const void* data = nullptr;
  int64_t stride = 0;

  static Factor plain(const float* x, int64_t stride) { return {Kind::f32, x, stride}; }
  static Factor half(const half_t* x, int64_t stride) { return {Kind::f16, x, stride}; }
  // The stride is in numbers, a multiple of 32, as are the columns at which rows are read.
  static Factor q8_0(const q8_0_t* x, int64_t stride) { return {Kind::q8_0, x, stride}; }
};

// The first n elements of a stored row as floats.
void read_row(const Factor& factor, int64_t row, int64_t n, float* out);

// C (m x n) = alpha op(A) op(B) + beta C, op(A) m x k, op(B) k x n; float or double.
void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, double alpha,
          const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
          int64_t ldc);

// The same where an operand's elements are made on the way (alpha = 1, beta 0 or 1).
void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, const Factor& a,
          const Factor& b, float beta, float* c, int64_t ldc);

// c = op(a) op(b) + beta c for tensors of rank 2 and of one dtype, F32 or F64; where they are F32,
// b may be F16 or Q8_0 (beta 0 or 1 then), which is widened block by block; Q8_0 for products with
// B^T alone. Shapes are checked.
void gemm(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, double beta, Tensor& c);
// c = op(a) op(b) + plus, a tensor of c's shape and dtype that is left as it is.
void gemm_add(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b, const Tensor& plus,
              Tensor& c);

// The BLAS and the kernels it chose, for instance "OpenBLAS 0.3.21 SkylakeX".
std::string blas_name();
// The family of kernels (OPENBLAS_CORETYPE) that this CPU can run, where OpenBLAS, being older than
// the CPU, fell back to its slowest; else empty. It is read when a process starts.
std::string better_blas_core();

}  // namespace halftone
