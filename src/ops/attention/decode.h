// Scores and outputs of attention for a few query rows, as in generation, where a product that
// packs its operands would cost more than it computes. Single precision, for use inside simd().
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "halftone/base/simd.h"
#include "tensor/gemm/transpose.h"

namespace halftone {

inline constexpr int64_t kDecodeRows = 8;   // fewer rows than this
inline constexpr int64_t kDecodeLanes = 8;  // divides the head's size

// scores (rows x keys) = q k^T; q (rows x d), k (keys x d, rows `stride` apart).
HT_INLINE inline void decode_scores(int64_t rows, int64_t keys, int64_t d, const float* q,
                                    const float* k, int64_t stride, float* scores) {
  for (int64_t j = 0; j < keys; j += 4)
    for (int64_t r = 0; r < rows; ++r) {
      Eight sums[4] = {};
      const float* key[4];
#pragma GCC unroll 4
      for (int64_t i = 0; i < 4; ++i) key[i] = k + std::min(j + i, keys - 1) * stride;
      for (int64_t c = 0; c < d; c += kDecodeLanes) {
        Eight x;
        std::memcpy(&x, q + r * d + c, sizeof(x));
#pragma GCC unroll 4
        for (int64_t i = 0; i < 4; ++i) {
          Eight y;
          std::memcpy(&y, key[i] + c, sizeof(y));
          sums[i] += x * y;
        }
      }
      float halves[4][4], transposed[4][4];
      const float* rows_of_sums[4] = {halves[0], halves[1], halves[2], halves[3]};
#pragma GCC unroll 4
      for (int64_t i = 0; i < 4; ++i) {
        const Four half = __builtin_shufflevector(sums[i], sums[i], 0, 1, 2, 3) +
                          __builtin_shufflevector(sums[i], sums[i], 4, 5, 6, 7);
        std::memcpy(halves[i], &half, sizeof(half));
      }
      transpose_rows<Four>(4, rows_of_sums, 4, transposed[0]);
      Four total{};
#pragma GCC unroll 4
      for (int64_t i = 0; i < 4; ++i) {
        Four part;
        std::memcpy(&part, transposed[i], sizeof(part));
        total += part;
      }
      std::memcpy(scores + r * keys + j, &total, std::min<int64_t>(4, keys - j) * sizeof(float));
    }
}

// N vectors of `out`, for up to three rows: sums stay in registers over all keys.
template <int N>
HT_INLINE inline void add_decode_outputs(int64_t rows, int64_t keys, int64_t d, const float* p,
                                         const float* v, int64_t stride, float* out) {
  constexpr int64_t kRows = 3;  // the last is repeated where there are fewer
  Eight sums[kRows][N] = {};
  const float* weights[kRows];
#pragma GCC unroll 3
  for (int64_t r = 0; r < kRows; ++r) weights[r] = p + std::min(r, rows - 1) * keys;
  for (int64_t j = 0; j < keys; ++j) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) {
      Eight value;
      std::memcpy(&value, v + j * stride + n * kDecodeLanes, sizeof(value));
#pragma GCC unroll 3
      for (int64_t r = 0; r < kRows; ++r) sums[r][n] += weights[r][j] * value;
    }
  }
  for (int64_t r = 0; r < std::min(kRows, rows); ++r)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) {
      float* to = out + r * d + n * kDecodeLanes;
      Eight before;
      std::memcpy(&before, to, sizeof(before));
      before += sums[r][n];
      std::memcpy(to, &before, sizeof(before));
    }
}

// out (rows x d) += p v; p (rows x keys), v (keys x d, rows `stride` apart).
HT_INLINE inline void decode_outputs(int64_t rows, int64_t keys, int64_t d, const float* p,
                                     const float* v, int64_t stride, float* out) {
  for (int64_t r = 0; r < rows; r += 3) {
    int64_t c = 0;
    for (; c + 4 * kDecodeLanes <= d; c += 4 * kDecodeLanes)
      add_decode_outputs<4>(rows - r, keys, d, p + r * keys, v + c, stride, out + r * d + c);
    for (; c < d; c += kDecodeLanes)
      add_decode_outputs<1>(rows - r, keys, d, p + r * keys, v + c, stride, out + r * d + c);
  }
}

}  // namespace halftone
