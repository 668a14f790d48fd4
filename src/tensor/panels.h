// Panels, the packed form of a product's factors, and the tile of C that two of them make. Within
// the library. Packing is for use inside simd_avx2() and simd_avx512(); a Tile, whose vectors say
// what it needs of the CPU, is called from anywhere.
#pragma once

#include <algorithm>
#include <cstring>

#include "factor_rows.h"
#include "halftone/tensor/transpose.h"

namespace halftone {

constexpr int64_t kDepth = 288;          // of a panel, at most
constexpr int64_t kPackedColumns = 792;  // of a factor stored as depth x columns, at most

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// Panels of W: out[panel][k][i] = element (k, panel W + i) of the factor, stored as columns x depth
// (`across`: the panel's W elements are in W stored rows). What lies beyond `columns` is zero.
template <int W>
HT_INLINE inline void pack_across(const Factor& f, Range columns, Range depth, float* out) {
  alignas(64) float made[4][kDepth];
  alignas(64) static const float zeros[kDepth] = {};
  const int64_t k = depth.size();
  for (int64_t panel = columns.begin; panel < columns.end; panel += W, out += W * k)
    for (int i = 0; i < W; i += 4) {
      const float* rows[4];
      for (int r = 0; r < 4; ++r)
        rows[r] = panel + i + r < columns.end ? read_part(f, panel + i + r, depth.begin, k, made[r])
                                              : zeros;
      transpose_four(k, rows, W, out + i);
    }
}

// The same for a factor stored as depth x columns. Some rows at a time: panels lie pages apart, and
// going from one to the next for every row would miss the translation buffer.
template <int W>
HT_INLINE inline void pack_along(const Factor& f, Range columns, Range depth, float* out) {
  constexpr int64_t kRows = 8;
  alignas(64) float made[kRows][kPackedColumns];
  const int64_t k = depth.size(), n = columns.size();
  for (int64_t d = 0; d < k; d += kRows) {
    const int64_t count = std::min(kRows, k - d);
    const float* rows[kRows];
    for (int64_t r = 0; r < count; ++r)
      rows[r] = read_part(f, depth.begin + d + r, columns.begin, n, made[r]);
    float* to = out + d * W;
    int64_t j = 0;
    for (; j + W <= n; j += W, to += W * k)
      for (int64_t r = 0; r < count; ++r) std::memcpy(to + r * W, rows[r] + j, W * sizeof(float));
    if (j < n)
      for (int64_t r = 0; r < count; ++r)
        for (int i = 0; i < W; ++i) to[r * W + i] = j + i < n ? rows[r][j + i] : 0.0f;
  }
}

// The step at depth p of a tile: sums += a column of A's panel times a row of B's.
template <int R, int V, class Vector, bool rows, class T>
HT_INLINE inline void add_outer_product(const T* a, const T* b, int p, Vector (&sums)[R][V]) {
  constexpr int kLanes = sizeof(Vector) / sizeof(T);
  Vector row[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) std::memcpy(&row[v], b + (p * V + v) * kLanes, sizeof(Vector));
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const Vector factor = a[rows ? r * kDepth + p : p * R + r] - Vector{};
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[r][v] += factor * row[v];
  }
}

// C (R x V vectors) = or += the product of a panel of A (k x R, or R rows kDepth apart) and one of
// B (k x V vectors). Two steps to a turn of the loop: where another process shares the core, it is
// the number of instructions that counts.
template <int R, int V, class Vector, bool rows, class T>
HT_INLINE inline void multiply_panels(int64_t k, const T* a, const T* b, bool add, T* c,
                                      int64_t ldc) {
  constexpr int64_t kLanes = sizeof(Vector) / sizeof(T);
  constexpr int kSteps = 2;
  for (int r = 0; r < R; ++r)  // ready when the sums are
    for (int v = 0; v < V; ++v) __builtin_prefetch(c + r * ldc + v * kLanes, 1);
  Vector sums[R][V] = {};
  int64_t p = 0;
  for (; p + kSteps <= k; p += kSteps, a += kSteps * (rows ? 1 : R), b += kSteps * V * kLanes)
#pragma GCC unroll 2
    for (int step = 0; step < kSteps; ++step)
      add_outer_product<R, V, Vector, rows>(a, b, step, sums);
  for (; p < k; ++p, a += rows ? 1 : R, b += V * kLanes)
    add_outer_product<R, V, Vector, rows>(a, b, 0, sums);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      T* at = c + r * ldc + v * kLanes;
      Vector before{};
      if (add) std::memcpy(&before, at, sizeof(Vector));
      const Vector after = before + sums[r][v];
      std::memcpy(at, &after, sizeof(Vector));
    }
}

// A function of its own, or GCC shares the registers of the loop with those around it. Once for
// each target: the attribute takes no parameter.
template <int R, int V, class Vector, bool rows, class T = float>
struct Tile {
  __attribute__((noinline)) static void multiply(int64_t k, const T* a, const T* b, bool add, T* c,
                                                 int64_t ldc) {
    multiply_panels<R, V, Vector, rows>(k, a, b, add, c, ldc);
  }
};

template <int R, int V, bool rows>
struct Tile<R, V, Eight, rows, float> {
  __attribute__((noinline, target("avx2,fma"))) static void multiply(int64_t k, const float* a,
                                                                     const float* b, bool add,
                                                                     float* c, int64_t ldc) {
    multiply_panels<R, V, Eight, rows>(k, a, b, add, c, ldc);
  }
};

template <int R, int V, bool rows>
struct Tile<R, V, Sixteen, rows, float> {
  __attribute__((noinline, target("avx512f"))) static void multiply(int64_t k, const float* a,
                                                                    const float* b, bool add,
                                                                    float* c, int64_t ldc) {
    multiply_panels<R, V, Sixteen, rows>(k, a, b, add, c, ldc);
  }
};

}  // namespace halftone
