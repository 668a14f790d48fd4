// IEEE binary16 and bfloat16 as storage: conversions only, round to nearest even.
#pragma once

#include <bit>
#include <cstdint>

namespace halftone {

struct half_t {
  uint16_t bits;
};
struct bf16_t {
  uint16_t bits;
};

inline float to_float(half_t h) {
  const uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000u) << 16;
  const uint32_t magnitude = h.bits & 0x7fffu;
  if (magnitude >= 0x7c00u)  // inf, nan
    return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Shift into place and rescale by 2^112: subnormals come out right.
  return std::bit_cast<float>(
      sign | std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude << 13) * 0x1.0p112f));
}

inline float to_float(bf16_t b) {
  return std::bit_cast<float>(static_cast<uint32_t>(b.bits) << 16);
}

half_t to_half(float x);
bf16_t to_bf16(float x);

// Arrays; vectorised where the CPU can. widen_halves runs in the caller alone.
void widen_halves(const half_t* in, float* out, int64_t n);
void half_to_float(const half_t* in, float* out, int64_t n);
void bf16_to_float(const bf16_t* in, float* out, int64_t n);
void float_to_half(const float* in, half_t* out, int64_t n);
void float_to_bf16(const float* in, bf16_t* out, int64_t n);

}  // namespace halftone
