// Scalar functions that vectorise inside simd(). Float versions are polynomials without branches;
// double versions, for gradient checks, call the library.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "halftone/base/simd.h"

namespace halftone {

// Range reduction by ln 2 in two parts (Cody and Waite), degree-6 polynomial (Cephes expf).
struct ReducedExp {
  float fraction;   // e^x = fraction * 2^n, fraction in [0.70, 1.42]
  int32_t shifted;  // n in its low bits: those of the float 1.5 * 2^23 + n
};

HT_INLINE inline ReducedExp reduced_exp(float x) {
  const float shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to an integer
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return {p * r * r + r + 1.0f, std::bit_cast<int32_t>(shifted)};
}

// e^x, relative error below 2.5e-7 over [-87.3, 88.7]; smaller arguments give 0, larger the limit,
// NaN gives NaN.
HT_INLINE inline float fast_exp(float x) {
  const float above = x < -87.3f ? -87.3f : x;  // comparisons, not fmax: NaN stays NaN
  const ReducedExp e = reduced_exp(above > 88.7f ? 88.7f : above);
  const int32_t exponent = e.shifted - 0x4b400000;
  // Two factors, so that the exponent never leaves the normal range.
  const int32_t half = exponent >> 1;
  const float a = std::bit_cast<float>((half + 127) << 23);
  const float b = std::bit_cast<float>((exponent - half + 127) << 23);
  return x < -87.3f ? 0.0f : e.fraction * a * b;
}

// The same for x <= 0 (or a rounding above), where n may be added to the exponent's bits: two
// thirds of the work. Below -86.6 it gives 0.
HT_INLINE inline float fast_exp_negative(float x) {
  const ReducedExp e = reduced_exp(x < -86.6f ? -86.6f : x);
  const uint32_t bits =
      std::bit_cast<uint32_t>(e.fraction) + (static_cast<uint32_t>(e.shifted) << 23);
  return x < -86.6f ? 0.0f : std::bit_cast<float>(bits);
}

HT_INLINE inline double fast_exp(double x) {
  return std::exp(x);
}

HT_INLINE inline double fast_exp_negative(double x) {
  return std::exp(x);
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
