// Reading a stored row of a product's factor as floats, inside simd().
#pragma once

#include "halftone/base/half.h"
#include "halftone/base/simd.h"
#include "sgemm.h"

namespace halftone {

// n elements of a row from `column`: where they lie, or widened into `out`.
HT_INLINE inline const float* read_part(const Factor& f, int64_t row, int64_t column, int64_t n,
                                        float* out) {
  const int64_t at = row * f.stride + column;
  if (f.kind == Factor::Kind::f32) return static_cast<const float*>(f.data) + at;
  if (f.kind == Factor::Kind::q8_0) {
    widen_q8_0(static_cast<const q8_0_t*>(f.data) + at / q8_0_t::kNumbers, out, n);
    return out;
  }
  widen_halves(static_cast<const half_t*>(f.data) + at, out, n);
  return out;
}

}  // namespace halftone
