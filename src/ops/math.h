// Scalar functions that vectorise inside simd(). Float versions are polynomials without branches;
// double versions, for gradient checks, call the library.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "halftone/base/simd.h"

namespace halftone {

// e^x, relative error below 2.5e-7 over [-87.3, 88.7]; smaller arguments give 0, larger the limit,
// NaN gives NaN. Range reduction by ln 2 in two parts (Cody and Waite), polynomial of degree 6
// (Cephes expf).
HT_INLINE inline float fast_exp(float x) {
  const float above = x < -87.3f ? -87.3f : x;  // comparisons, not fmax: NaN stays NaN
  const float inside = above > 88.7f ? 88.7f : above;
  const float shifted = inside * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to an integer
  const float n = shifted - 12582912.0f;
  const float r = (inside - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float fraction = p * r * r + r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - 0x4b400000;
  // Two factors, so that the exponent never leaves the normal range.
  const int32_t half = exponent >> 1;
  const float a = std::bit_cast<float>((half + 127) << 23);
  const float b = std::bit_cast<float>((exponent - half + 127) << 23);
  return x < -87.3f ? 0.0f : fraction * a * b;
}

// 2^x for x <= 0 (or a rounding above), relative error below 2.5e-7; from -127 down exactly 0: the
// fraction is 1 there, and taking 127 from its exponent leaves no bit. Half the work of fast_exp. A
// minimax polynomial of degree 5 on [-1/2, 1/2] with 2^0 = 1.
HT_INLINE inline float fast_exp2_negative(float x) {
  const float above = x < -127.0f ? -127.0f : x;  // a comparison, not fmax: NaN stays NaN
  const float shifted = above + 12582912.0f;      // 1.5 * 2^23: rounds to an integer
  const float f = above - (shifted - 12582912.0f);
  float p = 1.326472726e-3f;
  p = p * f + 9.671512712e-3f;
  p = p * f + 5.550733744e-2f;
  p = p * f + 0.2402224208f;
  p = p * f + 0.6931469776f;
  p = p * f + 1.0f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(p) +
                              (std::bit_cast<uint32_t>(shifted) << 23));
}

HT_INLINE inline double fast_exp(double x) {
  return std::exp(x);
}

HT_INLINE inline double fast_exp2_negative(double x) {
  return std::exp2(x);
}

template <class T>
HT_INLINE inline T sigmoid(T x) {
  return T(1) / (T(1) + fast_exp(-x));
}

// tanh(x)^2, absolute error below 1e-6 in float: what a straight-through factor needs.
template <class T>
HT_INLINE inline T tanh_squared(T x) {
  const T t = T(1) - T(2) / (fast_exp(T(2) * x) + T(1));
  return t * t;
}

// +1 for x >= 0 (and -0), -1 below: a stored bit has no zero.
template <class T>
HT_INLINE inline T sign_of(T x) {
  return x >= T(0) ? T(1) : T(-1);
}

}  // namespace halftone
