// C = A B^T for a row or a few of A, as in decoding one sequence: every row of B is read once, as
// it is stored, and multiplied along its length.
#pragma once

#include "sgemm.h"

namespace halftone {

inline constexpr int64_t kRowDots = 2;  // rows of A

// C (m x n, row stride ldc), A m x k floats, B n x k; m up to kRowDots. Every element is summed in
// the same order on any number of threads.
void row_dots_gemm(int64_t m, int64_t n, int64_t k, const Factor& a, const Factor& b, float beta,
                   float* c, int64_t ldc);

}  // namespace halftone
