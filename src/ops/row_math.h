// Sums along one row of C numbers, for use inside simd(). Operands are parameters or captured by
// value: a reduction vectorises over locals alone.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "halftone/base/simd.h"

namespace halftone {

// sum_j term(j) in four runs side by side, which hide the latency of an addition, and a rest. The
// term holds its operands by value.
template <class T, class Term>
HT_INLINE inline T sum_of(int64_t c, Term term) {
  const int64_t run = c / 64 * 16;  // of whole vectors
  T first = 0, second = 0, third = 0, fourth = 0, rest = 0;
#pragma omp simd reduction(+ : first, second, third, fourth)
  for (int64_t j = 0; j < run; ++j) {
    first += term(j);
    second += term(run + j);
    third += term(2 * run + j);
    fourth += term(3 * run + j);
  }
#pragma omp simd reduction(+ : rest)
  for (int64_t j = 4 * run; j < c; ++j) rest += term(j);
  return (first + second) + (third + fourth) + rest;
}

template <class T>
HT_INLINE inline T row_sum(int64_t c, const T* x) {
  return sum_of<T>(c, [x](int64_t j) HT_INLINE { return x[j]; });
}

template <class T>
HT_INLINE inline T row_max(int64_t c, const T* x) {
  T largest = -std::numeric_limits<T>::infinity();
#pragma omp simd reduction(max : largest)
  for (int64_t j = 0; j < c; ++j) largest = x[j] > largest ? x[j] : largest;
  return largest;
}

// x . y
template <class T>
HT_INLINE inline T row_dot(int64_t c, const T* x, const T* y) {
  return sum_of<T>(c, [x, y](int64_t j) HT_INLINE { return x[j] * y[j]; });
}

// sum_j x_j y_j z_j
template <class T>
HT_INLINE inline T row_dot(int64_t c, const T* x, const T* y, const T* z) {
  return sum_of<T>(c, [x, y, z](int64_t j) HT_INLINE { return x[j] * y[j] * z[j]; });
}

// |a x - b t|^2
template <class T>
HT_INLINE inline T row_distance(int64_t c, const T* x, T a, const T* t, T b) {
  return sum_of<T>(c, [x, a, t, b](int64_t j) HT_INLINE {
    const T difference = a * x[j] - b * t[j];
    return difference * difference;
  });
}

// |x - mean|^2
template <class T>
HT_INLINE inline T row_distance(int64_t c, const T* x, T mean) {
  return sum_of<T>(c, [x, mean](int64_t j) HT_INLINE { return (x[j] - mean) * (x[j] - mean); });
}

// z = (y - mean) r, r = (var + eps)^(-1/2), biased variance; returns r. z may be y.
template <class T>
HT_INLINE inline T normalise_row(int64_t c, const T* y, T eps, T* z) {
  const T mean = row_sum(c, y) / static_cast<T>(c);
  const T squares = row_distance(c, y, mean);
  const T r = T(1) / std::sqrt(squares / static_cast<T>(c) + eps);
#pragma omp simd
  for (int64_t j = 0; j < c; ++j) z[j] = (y[j] - mean) * r;
  return r;
}

// dy = r (dz - mean(dz) - z mean(dz o z)); dy may be dz.
template <class T>
HT_INLINE inline void normalise_row_backward(int64_t c, const T* z, T r, const T* dz, T* dy) {
  const T mean = row_sum(c, dz) / static_cast<T>(c);
  const T along = row_dot(c, dz, z) / static_cast<T>(c);
#pragma omp simd
  for (int64_t j = 0; j < c; ++j) dy[j] = r * (dz[j] - mean - z[j] * along);
}

}  // namespace halftone
