// Rows side by side: number j of kLanes rows in one vector. What is done alike to every row then
// needs no sums across a vector, and sorting no branches. For use inside simd().
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "halftone/base/simd.h"

namespace halftone {

constexpr int64_t kLanes = 4;
typedef double Lanes __attribute__((vector_size(kLanes * sizeof(double)), aligned(8), may_alias));

HT_INLINE inline double sum_of(const Lanes& x) {
  return (x[0] + x[1]) + (x[2] + x[3]);
}

HT_INLINE inline void root(const Lanes& x, Lanes& out) {
  Lanes y{};
  for (int l = 0; l < kLanes; ++l) y[l] = std::sqrt(x[l]);
  out = y;
}

// out[j][l] = x[l][j] of `rows` rows; rows that there are not are zero.
HT_INLINE inline void load_lanes(const double* x, int64_t rows, int64_t width, Lanes* out) {
  double* to = reinterpret_cast<double*>(out);
  for (int64_t l = 0; l < kLanes; ++l)
    for (int64_t j = 0; j < width; ++j) to[j * kLanes + l] = l < rows ? x[l * width + j] : 0;
}

// Every row rising: Batcher's merge exchange (Knuth, TAOCP 3, 5.2.2 M), the same comparisons
// whatever the numbers are.
HT_INLINE inline void sort_lanes(Lanes* x, int64_t n) {
  if (n < 2) return;
  const int64_t top = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(n))) / 2;
  for (int64_t p = top; p > 0; p /= 2)
    for (int64_t q = top, r = 0, d = p;; d = q - p, q /= 2, r = p) {
      for (int64_t first = r; first + d < n; first += 2 * p) {
        const int64_t last = std::min(first + p, n - d);
        for (int64_t i = first; i < last; ++i) {
          const Lanes a = x[i], b = x[i + d];
          x[i] = a < b ? a : b;
          x[i + d] = a < b ? b : a;
        }
      }
      if (q == p) break;
    }
}

// Of every row, how many of its n sorted numbers are < threshold.
HT_INLINE inline void count_below(const Lanes* sorted, int64_t n, const Lanes& threshold,
                                  int64_t* out) {
  const double* x = reinterpret_cast<const double*>(sorted);
  int64_t at[kLanes] = {};
  for (int64_t left = n; left > 0;) {
    const int64_t half = (left + 1) / 2;
    for (int64_t l = 0; l < kLanes; ++l)
      at[l] += x[(at[l] + half - 1) * kLanes + l] < threshold[l] ? half : 0;
    left -= half;
  }
  for (int64_t l = 0; l < kLanes; ++l) out[l] = at[l];
}

// Sorted numbers x[0..n) with the sums of those before each place.
struct SortedLanes {
  int64_t n;
  Lanes *x, *sums, *squares;  // n, n + 1, n + 1
};

// Sorts x and fills in the sums; numbers that are infinite count as none.
HT_INLINE inline void sort_and_sum(const SortedLanes& s) {
  sort_lanes(s.x, s.n);
  s.sums[0] = s.squares[0] = Lanes{};
  for (int64_t j = 0; j < s.n; ++j) {
    const Lanes x = s.x[j] < std::numeric_limits<double>::infinity() ? s.x[j] : Lanes{};
    s.sums[j + 1] = s.sums[j] + x;
    s.squares[j + 1] = s.squares[j] + x * x;
  }
}

// out[l] = x[at[l]][l]
HT_INLINE inline void pick(const Lanes* x, const int64_t* at, Lanes& out) {
  const double* numbers = reinterpret_cast<const double*>(x);
  Lanes y{};
  for (int64_t l = 0; l < kLanes; ++l) y[l] = numbers[at[l] * kLanes + l];
  out = y;
}

}  // namespace halftone
