// Sums along one row of C numbers, for use inside simd(). Operands are parameters, not captures: a
// reduction vectorises over locals alone.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "halftone/base/simd.h"

namespace halftone {

template <class T>
HT_INLINE inline T row_sum(int64_t c, const T* x) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < c; ++j) sum += x[j];
  return sum;
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
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < c; ++j) sum += x[j] * y[j];
  return sum;
}

// sum_j x_j y_j z_j
template <class T>
HT_INLINE inline T row_dot(int64_t c, const T* x, const T* y, const T* z) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < c; ++j) sum += x[j] * y[j] * z[j];
  return sum;
}

// |a x - b t|^2
template <class T>
HT_INLINE inline T row_distance(int64_t c, const T* x, T a, const T* t, T b) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < c; ++j) sum += (a * x[j] - b * t[j]) * (a * x[j] - b * t[j]);
  return sum;
}

// z = (y - mean) r, r = (var + eps)^(-1/2), biased variance; returns r. z may be y.
template <class T>
HT_INLINE inline T normalise_row(int64_t c, const T* y, T eps, T* z) {
  const T mean = row_sum(c, y) / static_cast<T>(c);
  T squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t j = 0; j < c; ++j) squares += (y[j] - mean) * (y[j] - mean);
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
