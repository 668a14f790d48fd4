// The product of single-precision matrices, F16 ones widened while they are packed. Blocks and
// register tiles follow Goto and van de Geijn (2008, Anatomy of high-performance matrix
// multiplication).
#pragma once

#include <cstdint>

#include "halftone/tensor/gemm.h"

namespace halftone {

// Whether floats `stride` apart are whole pages apart: several rows of them meet in the same lines
// of the first-level cache, and a product does better with a copy.
constexpr bool rows_meet(int64_t stride) {
  return stride % 1024 == 0;
}

// C (m x n, row stride ldc) = op(A) op(B) + beta C, op(A) m x k, op(B) k x n. Every element is
// summed in the same order on any number of threads. Inside a parallel_for it runs in the caller.
void sgemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, const Factor& a,
           const Factor& b, float beta, float* c, int64_t ldc);

// Whether this CPU has the vector units that sgemm is written for (AVX2 or AVX-512).
bool has_sgemm();

}  // namespace halftone
