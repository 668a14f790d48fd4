// Panels, the packed form of a product's factors, and the tile of C that two of them make. Within
// the library. Packing is for use inside simd_avx2() and simd_avx512(); a Tile, whose vectors say
// what it needs of the CPU, is called from anywhere.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "factor_rows.h"
#include "transpose.h"

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
  using Vector =
      std::conditional_t<W % 32 == 0, Sixteen, std::conditional_t<W % 16 == 0, Eight, Four>>;
  constexpr int kLanes = sizeof(Vector) / sizeof(float);
  alignas(64) float made[kLanes][kDepth];
  alignas(64) static const float zeros[kDepth] = {};
  const int64_t k = depth.size();
  for (int64_t panel = columns.begin; panel < columns.end; panel += W, out += W * k)
    for (int i = 0; i < W; i += kLanes) {
      const float* rows[kLanes];
      for (int r = 0; r < kLanes; ++r)
        rows[r] = panel + i + r < columns.end ? read_part(f, panel + i + r, depth.begin, k, made[r])
                                              : zeros;
      transpose_rows<Vector>(k, rows, W, out + i);
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

// Clang compiles for the fuzzer alone, and knows neither the vectors nor the target attribute.
#if defined(__x86_64__) && !defined(__clang__)
constexpr bool kX86 = true;
#else
constexpr bool kX86 = false;
#endif

// Whether multiply-adds and broadcasts are single instructions of the vector.
template <class Vector, class T>
constexpr bool kNative = kX86&& std::is_same_v<T, float> && sizeof(Vector) >= sizeof(Eight);

// Where a tile reads A: R rows, `stride` apart, or columns, stored as rows so far apart. Pointers
// to every third of those leave registers for the rest: an address has a base, and a stride once or
// twice.
template <int R, bool in_rows, class T>
struct TileRows {
  static constexpr int kSteps = 4, kLines = in_rows ? R : kSteps;
  const T* third[(kLines + 2) / 3];
  int64_t stride;

  HT_INLINE TileRows(const T* a, int64_t lda) : stride(lda) {
    for (int i = 0; i < kLines; i += 3) third[i / 3] = a + i * stride;
  }
  HT_INLINE void advance(int steps) {
    for (const T*& a : third) a += in_rows ? steps : steps * stride;
  }
};

// All lanes = the element of row r at `step`. In words of the machine for the CPUs that matter: GCC
// adds up the addresses of several steps beforehand and runs out of registers.
template <int step, int r, class Vector, int R, bool in_rows, class T>
HT_INLINE inline void broadcast(const TileRows<R, in_rows, T>& a, Vector& out) {
  constexpr int line = in_rows ? r : step, at = in_rows ? step : r;
  const T* base = a.third[line / 3];
  if constexpr (!kNative<Vector, T>) {
    out = base[line % 3 * a.stride + at] - Vector{};
  } else if constexpr (line % 3 == 0) {
    asm volatile("vbroadcastss %1, %0" : "=v"(out) : "m"(base[at]));
  } else {
    using Read = const T(*)[];  // any of the memory from base on
    if constexpr (line % 3 == 1)
      asm volatile("vbroadcastss %c3(%1,%2,4), %0"
                   : "=v"(out)
                   : "r"(base), "r"(a.stride), "i"(4 * at), "m"(*(Read)base));
    else
      asm volatile("vbroadcastss %c3(%1,%2,8), %0"
                   : "=v"(out)
                   : "r"(base), "r"(a.stride), "i"(4 * at), "m"(*(Read)base));
  }
}

// sum += x y. GCC would at times put the sum where x was, and copy registers.
template <class T, class Vector>
HT_INLINE inline void multiply_add(const Vector& x, const Vector& y, Vector& sum) {
  if constexpr (kNative<Vector, T>)
    asm volatile("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y));
  else
    sum += x * y;
}

// A step of a tile: sums += a column of A times a row of B's panel.
template <int step, int R, int V, class Vector, bool in_rows, class T, int... r>
HT_INLINE inline void add_outer_product(const TileRows<R, in_rows, T>& a, const T* b,
                                        Vector (&sums)[R][V], std::integer_sequence<int, r...>) {
  constexpr int kLanes = sizeof(Vector) / sizeof(T);
  Vector row[V], factor;
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) std::memcpy(&row[v], b + (step * V + v) * kLanes, sizeof(Vector));
  const auto add_row = [&](Vector(&sum)[V]) HT_INLINE {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) multiply_add<T>(factor, row[v], sum[v]);
  };
  ((broadcast<step, r>(a, factor), add_row(sums[r])), ...);
}

// C (R x V vectors) = or += the product of A, R x k with its rows (in_rows) or columns lda apart,
// and a panel of B (k x V vectors). Four steps to a turn of the loop: where another process shares
// the core, it is the number of instructions that counts.
template <int R, int V, class Vector, bool in_rows, class T>
HT_INLINE inline void multiply_panels(int64_t k, const T* a, int64_t lda, const T* b, bool add,
                                      T* c, int64_t ldc) {
  constexpr int64_t kLanes = sizeof(Vector) / sizeof(T);
  for (int r = 0; r < R; ++r)  // ready when the sums are
    for (int v = 0; v < V; ++v) __builtin_prefetch(c + r * ldc + v * kLanes, 1);
  Vector sums[R][V] = {};
  TileRows<R, in_rows, T> rows(a, lda);
  const auto turn = [&]<int... step>(std::integer_sequence<int, step...>) HT_INLINE {
    (add_outer_product<step>(rows, b, sums, std::make_integer_sequence<int, R>()), ...);
    rows.advance(sizeof...(step));
    b += sizeof...(step) * V * kLanes;
    k -= sizeof...(step);
  };
  while (k >= rows.kSteps) turn(std::make_integer_sequence<int, rows.kSteps>());
  while (k > 0) turn(std::make_integer_sequence<int, 1>());
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      T* to = c + r * ldc + v * kLanes;
      Vector before{};
      if (add) std::memcpy(&before, to, sizeof(Vector));
      const Vector after = before + sums[r][v];
      std::memcpy(to, &after, sizeof(Vector));
    }
}

// A function of its own, or GCC shares the registers of the loop with those around it. Once for
// each target: the attribute takes no parameter.
template <int R, int V, class Vector, bool in_rows, class T = float>
struct Tile {
  __attribute__((noinline)) static void multiply(int64_t k, const T* a, int64_t lda, const T* b,
                                                 bool add, T* c, int64_t ldc) {
    multiply_panels<R, V, Vector, in_rows>(k, a, lda, b, add, c, ldc);
  }
};

template <int R, int V, bool in_rows>
struct Tile<R, V, Eight, in_rows, float> {
  __attribute__((noinline)) HT_AVX2 static void multiply(int64_t k, const float* a, int64_t lda,
                                                         const float* b, bool add, float* c,
                                                         int64_t ldc) {
    multiply_panels<R, V, Eight, in_rows>(k, a, lda, b, add, c, ldc);
  }
};

template <int R, int V, bool in_rows>
struct Tile<R, V, Sixteen, in_rows, float> {
  __attribute__((noinline)) HT_AVX512 static void multiply(int64_t k, const float* a, int64_t lda,
                                                           const float* b, bool add, float* c,
                                                           int64_t ldc) {
    multiply_panels<R, V, Sixteen, in_rows>(k, a, lda, b, add, c, ldc);
  }
};

}  // namespace halftone
