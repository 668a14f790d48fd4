// Blocks of 32 numbers of 8 bits with a scale, GGUF's Q8_0, as storage: conversions only.
#pragma once

#include <cstdint>

#include "halftone/base/half.h"

namespace halftone {

// x = scale q
struct q8_0_t {
  static constexpr int64_t kNumbers = 32;
  half_t scale;
  int8_t q[kNumbers];
};
static_assert(sizeof(q8_0_t) == 34 && alignof(q8_0_t) == 2);

// The nearest numbers scale q: scale = max |x| / 127 of the block rounded to F16, q from -127 to
// 127. n is a multiple of 32.
void float_to_q8_0(const float* in, q8_0_t* out, int64_t n);
void q8_0_to_float(const q8_0_t* in, float* out, int64_t n);
// In the caller alone.
void widen_q8_0(const q8_0_t* in, float* out, int64_t n);

}  // namespace halftone
