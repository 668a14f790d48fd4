// Rounding to 16 bits and back.
#include "halftone/base/half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cmath>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"

namespace halftone {
namespace {

constexpr int64_t kBlock = 1 << 16;

#if defined(__x86_64__)
HT_AVX2 void half_to_float_f16c(const half_t* in, float* out, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(out + i,
                     _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
  for (; i < n; ++i) out[i] = to_float(in[i]);
}

HT_AVX2 void float_to_half_f16c(const float* in, half_t* out, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < n; ++i) out[i] = to_half(in[i]);
}
#endif

}  // namespace

half_t to_half(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return {static_cast<uint16_t>(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu))};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // >= 65520
  if (magnitude < 0x38800000u) {  // below 2^-14: the sum's last bits are the subnormal's
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u) - (112u << 23);
  return {static_cast<uint16_t>(sign | rounded >> 13)};
}

bf16_t to_bf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return {static_cast<uint16_t>(bits >> 16 | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

void widen_halves(const half_t* in, float* out, int64_t n) {
#if defined(__x86_64__)
  if (isa() != Isa::baseline) return half_to_float_f16c(in, out, n);
#endif
  for (int64_t i = 0; i < n; ++i) out[i] = to_float(in[i]);
}

void half_to_float(const half_t* in, float* out, int64_t n) {
  parallel_for(n, kBlock, [&](int64_t begin, int64_t end) {
    widen_halves(in + begin, out + begin, end - begin);
  });
}

void bf16_to_float(const bf16_t* in, float* out, int64_t n) {
  parallel_for(n, kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = to_float(in[i]);
  });
}

void float_to_half(const float* in, half_t* out, int64_t n) {
  parallel_for(n, kBlock, [&](int64_t begin, int64_t end) {
#if defined(__x86_64__)
    if (isa() != Isa::baseline) return float_to_half_f16c(in + begin, out + begin, end - begin);
#endif
    for (int64_t i = begin; i < end; ++i) out[i] = to_half(in[i]);
  });
}

void float_to_bf16(const float* in, bf16_t* out, int64_t n) {
  parallel_for(n, kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = to_bf16(in[i]);
  });
}

}  // namespace halftone
