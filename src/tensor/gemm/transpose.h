// A vector's worth of rows transposed into columns: what packing and unpacking of vector kernels is
// made of.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "halftone/base/simd.h"

namespace halftone {

typedef float Four __attribute__((vector_size(16)));
typedef float Eight __attribute__((vector_size(32)));
typedef float Sixteen __attribute__((vector_size(64)));

// The entries at places, counted modulo the number of entries: one instruction of GCC's, a loop of
// Clang's, which has no such built-in.
template <class Vector, class Words>
HT_INLINE inline void permute(const Vector& entries, const Words& places, Vector& out) {
#ifdef __clang__
  constexpr int kLanes = sizeof(Vector) / sizeof(float);
  for (int i = 0; i < kLanes; ++i) out[i] = entries[places[i] % kLanes];
#else
  out = __builtin_shuffle(entries, places);
#endif
}

// Four consecutive numbers of each of a vector's rows first, first + 4, ..
template <class Vector>
HT_INLINE inline void load_fours(const float* const* rows, int64_t j, Vector& out) {
  if constexpr (sizeof(Vector) == sizeof(Four)) {
    std::memcpy(&out, rows[0] + j, sizeof(Four));
  } else if constexpr (sizeof(Vector) == sizeof(Eight)) {
    Four low, high;
    load_fours(rows, j, low);
    load_fours(rows + 4, j, high);
    out = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
  } else {
    Eight low, high;
    load_fours(rows, j, low);
    load_fours(rows + 8, j, high);
    out = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  }
}

// In every four lanes of the result: lanes p and q of a's four and of b's, in the order a b a b or
// a a b b.
template <int p, int q, bool alternate, class Vector, int... lane>
HT_INLINE inline void merge(const Vector& a, const Vector& b, Vector& out,
                            std::integer_sequence<int, lane...>) {
  constexpr int kLanes = sizeof...(lane);
  constexpr int from[4] = {p, alternate ? kLanes + p : q, alternate ? q : kLanes + p, kLanes + q};
  out = __builtin_shufflevector(a, b, (lane / 4 * 4 + from[lane % 4])...);
}

// out[j * stride + i] = rows[i][j] for j < n and the rows i of a vector.
template <class Vector>
HT_INLINE inline void transpose_rows(int64_t n, const float* const* row_of, int64_t stride,
                                     float* out) {
  constexpr int kLanes = sizeof(Vector) / sizeof(float);
  const float* rows[kLanes];  // which no store can change
  std::copy_n(row_of, kLanes, rows);
  constexpr auto lanes = std::make_integer_sequence<int, kLanes>();
  int64_t j = 0;
  for (; j + 4 <= n; j += 4) {
    Vector a, b, c, d, ab, cd, transposed;
    load_fours(rows, j, a);
    load_fours(rows + 1, j, b);
    load_fours(rows + 2, j, c);
    load_fours(rows + 3, j, d);
    const auto store = [&](int64_t column) HT_INLINE {
      std::memcpy(out + (j + column) * stride, &transposed, sizeof(Vector));
    };
    const auto turn_two = [&]<int first>(std::integral_constant<int, first>) HT_INLINE {
      merge<first, first + 1, true>(a, b, ab, lanes);
      merge<first, first + 1, true>(c, d, cd, lanes);
      merge<0, 1, false>(ab, cd, transposed, lanes);
      store(first);
      merge<2, 3, false>(ab, cd, transposed, lanes);
      store(first + 1);
    };
    turn_two(std::integral_constant<int, 0>());
    turn_two(std::integral_constant<int, 2>());
  }
  for (; j < n; ++j)
    for (int i = 0; i < kLanes; ++i) out[j * stride + i] = rows[i][j];
}

}  // namespace halftone
