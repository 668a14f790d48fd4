// OpenBLAS on the thread that calls it: work is split among our own threads alone. The only stem
// that includes its headers, with linalg.
#pragma once

#include "halftone/tensor/gemm.h"

namespace halftone {

// To be called before a BLAS or LAPACK function, by the thread that calls it.
void blas_on_this_thread();

// C = alpha op(A) op(B) + beta C, by rows of C; float or double, no size zero.
template <class T>
void blas_gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, T alpha, const T* a,
               int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc);

}  // namespace halftone
