// The "K" types: super-blocks of 256 numbers whose sub-blocks have quantised scales.
#include "gguf_blocks.h"

namespace halftone {
namespace {

// Scale and minimum of sub-block j of 8, six bits each, in 12 bytes: bytes 0..3 and 4..7 hold those
// of sub-blocks 0..3 in six bits and, above, the two high bits of sub-blocks 4..7, whose four low
// bits are in bytes 8..11.
void scale_and_min(const uint8_t* packed, int j, int& scale, int& min) {
  if (j < 4) {
    scale = packed[j] & 63;
    min = packed[j + 4] & 63;
  } else {
    scale = (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4;
    min = (packed[j + 4] >> 4) | (packed[j] >> 6) << 4;
  }
}

// Bytes 32k .. 32k+31 hold sub-block 2k in their low and 2k+1 in their high halves; bit j of byte l
// of `high` (Q5_K only) is the fifth bit of number l of sub-block j.
void read_k_block(const uint8_t* in, const uint8_t* high, const uint8_t* low, float* out) {
  const float d = half_at(in), dmin = half_at(in + 2);
  for (int j = 0; j < 8; ++j, out += 32) {
    int scale, min;
    scale_and_min(in + 4, j, scale, min);
    const float step = d * static_cast<float>(scale), offset = dmin * static_cast<float>(min);
    const uint8_t* q = low + 32 * (j / 2);
    for (int l = 0; l < 32; ++l) {
      int value = j % 2 ? q[l] >> 4 : q[l] & 15;
      if (high) value |= (high[l] >> j & 1) << 4;
      out[l] = step * static_cast<float>(value) - offset;
    }
  }
}

// Two halves of 128 numbers; of a half's 32 bytes of two-bit numbers, byte l holds numbers l, l +
// 32, l + 64, l + 96 from its low bits up. number(i, q) of each i in 0 .. 255.
template <class Number>
void for_each_two_bits(const uint8_t* in, const Number& number) {
  for (int i = 0; i < 256; ++i) number(i, in[32 * (i / 128) + i % 32] >> 2 * (i / 32 % 4) & 3);
}

}  // namespace

// 16 sub-blocks of 16: a byte holds its scale in the low, its minimum in the high half.
void read_q2_k(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 84, out += 256) {
    const float d = half_at(in + 80), dmin = half_at(in + 82);
    for_each_two_bits(in + 16, [&](int i, int q) {
      const uint8_t packed = in[i / 16];
      const float step = d * static_cast<float>(packed & 15);
      out[i] = step * static_cast<float>(q) - dmin * static_cast<float>(packed >> 4);
    });
  }
}

// 32 bytes of high bits (bit i / 32 of byte i % 32; not set: 4 less), 64 bytes of two-bit numbers,
// 16 scales in six bits: four low bits as half bytes (0..7 low, 8..15 high) of 8 bytes, two high
// bits of scale s at bits 2 (s / 4) of byte s % 4 behind them.
void read_q3_k(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 110, out += 256) {
    const uint8_t* packed = in + 96;
    const float d = half_at(in + 108);
    for_each_two_bits(in + 32, [&](int i, int q) {
      const int s = i / 16, low = packed[s % 8] >> 4 * (s / 8) & 15,
                high = packed[8 + s % 4] >> 2 * (s / 4) & 3;
      const float step = d * static_cast<float>((low | high << 4) - 32);
      out[i] = step * static_cast<float>(q - (in[i % 32] >> i / 32 & 1 ? 0 : 4));
    });
  }
}

void read_q4_k(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 144, out += 256)
    read_k_block(in, nullptr, in + 16, out);
}

void read_q5_k(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 176, out += 256)
    read_k_block(in, in + 16, in + 48, out);
}

// Two halves of 128 numbers: 64 bytes of low bits, 32 bytes of high bits, 8 scales of 16 each.
void read_q6_k(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 210) {
    const float d = half_at(in + 208);
    for (int half = 0; half < 2; ++half, out += 128) {
      const uint8_t* low = in + 64 * half;
      const uint8_t* high = in + 128 + 32 * half;
      const uint8_t* scales = in + 192 + 8 * half;
      for (int i = 0; i < 128; ++i) {
        const int quarter = i / 32, l = i % 32;
        const uint8_t nibbles = low[l + 32 * (quarter % 2)];
        const int q = (quarter < 2 ? nibbles & 15 : nibbles >> 4) | (high[l] >> 2 * quarter & 3)
                                                                        << 4;
        const float step = d * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
        out[i] = step * static_cast<float>(q - 32);
      }
    }
  }
}

}  // namespace halftone
