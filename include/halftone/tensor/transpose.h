// Four rows turned into four columns: what packing and unpacking of vector kernels is made of.
#pragma once

#include <cstdint>
#include <cstring>

#include "halftone/base/simd.h"

namespace halftone {

typedef float Four __attribute__((vector_size(16)));
typedef float Eight __attribute__((vector_size(32)));
typedef float Sixteen __attribute__((vector_size(64)));

// out[j * stride + i] = rows[i][j] for i < 4, j < n
HT_INLINE inline void transpose_four(int64_t n, const float* const* rows, int64_t stride,
                                     float* out) {
  int64_t j = 0;
  for (; j + 4 <= n; j += 4) {
    Four a, b, c, d;
    std::memcpy(&a, rows[0] + j, 16);
    std::memcpy(&b, rows[1] + j, 16);
    std::memcpy(&c, rows[2] + j, 16);
    std::memcpy(&d, rows[3] + j, 16);
    const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
               ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7),
               cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
               cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const Four out0 = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
               out1 = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
               out2 = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
               out3 = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
    std::memcpy(out + (j + 0) * stride, &out0, 16);
    std::memcpy(out + (j + 1) * stride, &out1, 16);
    std::memcpy(out + (j + 2) * stride, &out2, 16);
    std::memcpy(out + (j + 3) * stride, &out3, 16);
  }
  for (; j < n; ++j)
    for (int i = 0; i < 4; ++i) out[j * stride + i] = rows[i][j];
}

}  // namespace halftone
