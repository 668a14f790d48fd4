// C = A B^T + beta C for few rows of A, as in generation: B, the large factor, is read once from
// where it lies and its elements are broadcast against A transposed.
#pragma once

#include "sgemm.h"

namespace halftone {

inline constexpr int64_t kSmallM = 32;  // more rows of A pay for packing B

// C (m x n, row stride ldc), A m x k, B n x k; m up to kSmallM, beta 0 or 1. Every element is
// summed in the same order on any number of threads.
void small_m_gemm(int64_t m, int64_t n, int64_t k, const Factor& a, const Factor& b, float beta,
                  float* c, int64_t ldc);

}  // namespace halftone
