// Inputs of a sign matrix in whole numbers, and the tables of their sums that sign_int_gemv looks
// up.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "halftone/base/simd.h"
#include "halftone/tensor/sign_tiles.h"

namespace halftone::sign_int {

typedef int16_t SixteenShorts __attribute__((vector_size(32)));
typedef uint8_t ThirtyTwoBytes __attribute__((vector_size(32)));

inline constexpr int64_t kColumns = SignTiles::kColumns;
inline constexpr int64_t kTables = kColumns / 4;  // of a chunk of columns
inline constexpr int64_t kLane = 16;  // bytes: the low or the high ones of a table's sums
inline constexpr int64_t kTable = 2 * kLane, kChunk = kTables * kTable;
// A row's sum over a chunk fits 16 bits: 32 * 1,023 < 2^15.
inline constexpr float kMost = 1023;
// An entry, of at most 4 * 1,023, is low + 64 high: four of either part add up in a byte.
inline constexpr int kHigh = 64;

// 32 inputs in whole numbers of the step that is returned.
HT_INLINE inline float round_inputs(const float* x, const float* scale, int64_t n, int16_t* out) {
  alignas(64) float v[kColumns] = {};
  for (int64_t i = 0; i < n; ++i) v[i] = scale ? x[i] * scale[i] : x[i];
  float most = 0;
#pragma omp simd reduction(max : most)
  for (int64_t i = 0; i < kColumns; ++i) most = std::max(most, std::fabs(v[i]));
  const float inverse = most > 0 ? kMost / most : 0;
  for (int64_t i = 0; i < kColumns; ++i) out[i] = static_cast<int16_t>(std::rint(v[i] * inverse));
  return most / kMost;
}

// In every 128 bits of the result elements of a and of b in turns, those of the first halves of
// their 128 bits or of the second ones.
template <int half, class Vector, int... i>
HT_INLINE inline void interleave(const Vector& a, const Vector& b, Vector& out,
                                 std::integer_sequence<int, i...>) {
  constexpr int kAll = sizeof...(i), kEach = kAll * 16 / static_cast<int>(sizeof(Vector));
  out = __builtin_shufflevector(
      a, b, (i % 2 * kAll + i / kEach * kEach + half * kEach / 2 + i % kEach / 2)...);
}

template <int half, class Vector>
HT_INLINE inline void interleave(const Vector& a, const Vector& b, Vector& out) {
  interleave<half>(a, b, out, std::make_integer_sequence<int, sizeof(Vector) / sizeof(a[0])>());
}

// The quarters of a vector of 32 bytes in another order.
template <int a, int b, int c, int d, class Vector>
HT_INLINE inline void permute_quarters(const Vector& from, Vector& out) {
  typedef uint64_t FourLongs __attribute__((vector_size(32)));
  out = (Vector)__builtin_shufflevector((FourLongs)from, (FourLongs)from, a, b, c, d);
}

// The least sum of +-q over 32 inputs.
HT_INLINE inline int16_t least_sum(const int16_t* q) {
  int sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < kColumns; ++i) sum += q[i] < 0 ? q[i] : -q[i];
  return static_cast<int16_t>(sum);
}

// The tables of 32 inputs: entry e is half of what the sum of +-q_k, minus where bit k of e is set,
// has above the least one; the low parts of the sixteen, then the high ones. All eight are made at
// once: vectors hold an entry of each, entry e in their first halves and e + 8 in the second, and
// are turned at the end.
HT_INLINE inline void make_tables(const int16_t* q, uint8_t* table) {
  constexpr int kPlace[kTables] = {0, 1, 4, 5, 2, 3, 6, 7};  // of the table that comes out i-th
  constexpr SixteenShorts kFourth = {1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1};
  SixteenShorts in[2], twos[2], fours[2], x[4];
  std::memcpy(in, q, sizeof(in));
  interleave<0>(in[0], in[1], twos[0]);
  interleave<1>(in[0], in[1], twos[1]);
  interleave<0>(twos[0], twos[1], fours[0]);  // first and second inputs of the tables
  interleave<1>(twos[0], twos[1], fours[1]);  // third and fourth
  permute_quarters<0, 2, 0, 2>(fours[0], x[0]);
  permute_quarters<1, 3, 1, 3>(fours[0], x[1]);
  permute_quarters<0, 2, 0, 2>(fours[1], x[2]);
  permute_quarters<1, 3, 1, 3>(fours[1], x[3]);
  x[3] *= kFourth;
  SixteenShorts plus[4], minus[3];
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) plus[k] = x[k] > 0 ? x[k] : 0;
#pragma GCC unroll 4
  for (int k = 0; k < 3; ++k) minus[k] = plus[k] - x[k];
  const SixteenShorts first[4] = {plus[0] + plus[1], minus[0] + plus[1], plus[0] + minus[1],
                                  minus[0] + minus[1]},
                      last[2] = {plus[2] + plus[3], minus[2] + plus[3]};
  ThirtyTwoBytes rows[kTables], mixed[kTables];
#pragma GCC unroll 8
  for (int e = 0; e < kTables; ++e) {
    const SixteenShorts sum = first[e % 4] + last[e / 4];
    rows[e] = (ThirtyTwoBytes)(sum + (sum & -kHigh) * (256 / kHigh - 1));  // the parts, a byte each
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    interleave<0>(rows[i], rows[i + 4], mixed[i]);
    interleave<1>(rows[i], rows[i + 4], mixed[i + 4]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const int at = i / 2 * 4 + i % 2;
    interleave<0>(mixed[at], mixed[at + 2], rows[at]);
    interleave<1>(mixed[at], mixed[at + 2], rows[at + 2]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    ThirtyTwoBytes turned[2];
    interleave<0>(rows[2 * i], rows[2 * i + 1], turned[0]);
    interleave<1>(rows[2 * i], rows[2 * i + 1], turned[1]);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      permute_quarters<0, 2, 1, 3>(turned[half], turned[half]);
      std::memcpy(table + kPlace[2 * i + half] * kTable, &turned[half], kTable);
    }
  }
}

}  // namespace halftone::sign_int
