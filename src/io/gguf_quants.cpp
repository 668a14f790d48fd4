#include "halftone/io/gguf_quants.h"

#include <cstring>

#include "halftone/base/error.h"
#include "halftone/base/half.h"
#include "halftone/base/threads.h"

namespace halftone {
namespace {

float half_at(const uint8_t* p) {
  half_t h;
  std::memcpy(&h, p, sizeof h);
  return to_float(h);
}

uint32_t u32_at(const uint8_t* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// F32, F16 and BF16 as blocks of one number.
void read_f32(const uint8_t* in, float* out, int64_t n) {
  std::memcpy(out, in, static_cast<size_t>(n) * sizeof(float));
}

void read_f16(const uint8_t* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = half_at(in + 2 * i);
}

void read_bf16(const uint8_t* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    bf16_t b;
    std::memcpy(&b, in + 2 * i, sizeof b);
    out[i] = to_float(b);
  }
}

void read_q8_0(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 34, out += 32) {
    const float d = half_at(in);
    for (int j = 0; j < 32; ++j) out[j] = d * static_cast<float>(static_cast<int8_t>(in[2 + j]));
  }
}

// 16 bytes hold number j in their low and number j + 16 in their high half.
void read_q4_0(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 18, out += 32) {
    const float d = half_at(in);
    for (int j = 0; j < 16; ++j) {
      out[j] = d * static_cast<float>((in[2 + j] & 15) - 8);
      out[j + 16] = d * static_cast<float>((in[2 + j] >> 4) - 8);
    }
  }
}

void read_q4_1(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 20, out += 32) {
    const float d = half_at(in), m = half_at(in + 2);
    for (int j = 0; j < 16; ++j) {
      out[j] = d * static_cast<float>(in[4 + j] & 15) + m;
      out[j + 16] = d * static_cast<float>(in[4 + j] >> 4) + m;
    }
  }
}

// The fifth bit of number j is bit j of a 32-bit word.
void read_q5_0(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 22, out += 32) {
    const float d = half_at(in);
    const uint32_t high = u32_at(in + 2);
    for (int j = 0; j < 16; ++j) {
      const int low0 = in[6 + j] & 15, low1 = in[6 + j] >> 4;
      out[j] = d * static_cast<float>((low0 | static_cast<int>(high >> j & 1) << 4) - 16);
      out[j + 16] =
          d * static_cast<float>((low1 | static_cast<int>(high >> (j + 16) & 1) << 4) - 16);
    }
  }
}

void read_q5_1(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 24, out += 32) {
    const float d = half_at(in), m = half_at(in + 2);
    const uint32_t high = u32_at(in + 4);
    for (int j = 0; j < 16; ++j) {
      const int low0 = in[8 + j] & 15, low1 = in[8 + j] >> 4;
      out[j] = d * static_cast<float>(low0 | static_cast<int>(high >> j & 1) << 4) + m;
      out[j + 16] = d * static_cast<float>(low1 | static_cast<int>(high >> (j + 16) & 1) << 4) + m;
    }
  }
}

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

void read_q1_0(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 18, out += 128) {
    const float d = half_at(in);
    for (int j = 0; j < 128; ++j) out[j] = in[2 + j / 8] >> j % 8 & 1 ? d : -d;
  }
}

void read_q2_0(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 18, out += 64) {
    const float d = half_at(in);
    for (int j = 0; j < 64; ++j)
      out[j] = d * static_cast<float>((in[2 + j / 4] >> 2 * (j % 4) & 3) - 1);
  }
}

constexpr GgmlType kTypes[] = {
    {0, "F32", 1, 4, read_f32, false},
    {1, "F16", 1, 2, read_f16, false},
    {2, "Q4_0", 32, 18, read_q4_0, true},
    {3, "Q4_1", 32, 20, read_q4_1, true},
    {4, "Q4_2 (removed)", 0, 0, nullptr, true},
    {5, "Q4_3 (removed)", 0, 0, nullptr, true},
    {6, "Q5_0", 32, 22, read_q5_0, true},
    {7, "Q5_1", 32, 24, read_q5_1, true},
    {8, "Q8_0", 32, 34, read_q8_0, true},
    // 36 bytes in ggml, 40 in its Python package; a step of products, which no model is stored in.
    {9, "Q8_1", 0, 0, nullptr, true},
    {10, "Q2_K", 256, 84, nullptr, true},
    {11, "Q3_K", 256, 110, nullptr, true},
    {12, "Q4_K", 256, 144, read_q4_k, true},
    {13, "Q5_K", 256, 176, read_q5_k, true},
    {14, "Q6_K", 256, 210, read_q6_k, true},
    {15, "Q8_K", 256, 292, nullptr, true},
    {16, "IQ2_XXS", 256, 66, nullptr, true},
    {17, "IQ2_XS", 256, 74, nullptr, true},
    {18, "IQ3_XXS", 256, 98, nullptr, true},
    {19, "IQ1_S", 256, 50, nullptr, true},
    {20, "IQ4_NL", 32, 18, nullptr, true},
    {21, "IQ3_S", 256, 110, nullptr, true},
    {22, "IQ2_S", 256, 82, nullptr, true},
    {23, "IQ4_XS", 256, 136, nullptr, true},
    {24, "I8", 1, 1, nullptr, false},
    {25, "I16", 1, 2, nullptr, false},
    {26, "I32", 1, 4, nullptr, false},
    {27, "I64", 1, 8, nullptr, false},
    {28, "F64", 1, 8, nullptr, false},
    {29, "IQ1_M", 256, 56, nullptr, true},
    {30, "BF16", 1, 2, read_bf16, false},
    {31, "Q4_0_4_4 (removed)", 0, 0, nullptr, true},
    {32, "Q4_0_4_8 (removed)", 0, 0, nullptr, true},
    {33, "Q4_0_8_8 (removed)", 0, 0, nullptr, true},
    {34, "TQ1_0", 256, 54, nullptr, true},
    {35, "TQ2_0", 256, 66, nullptr, true},
    {36, "IQ4_NL_4_4 (removed)", 0, 0, nullptr, true},
    {37, "IQ4_NL_4_8 (removed)", 0, 0, nullptr, true},
    {38, "IQ4_NL_8_8 (removed)", 0, 0, nullptr, true},
    {39, "MXFP4", 32, 17, nullptr, true},
    {40, "NVFP4", 64, 36, nullptr, true},
    {41, "Q1_0", 128, 18, read_q1_0, true},
    {42, "Q2_0", 64, 18, read_q2_0, true},
};

}  // namespace

const GgmlType& ggml_type(uint32_t id) {
  static constexpr GgmlType kUnknown{~0u, "unknown", 0, 0, nullptr, true};
  for (const GgmlType& type : kTypes)
    if (type.id == id) return type;
  return kUnknown;
}

void dequantize(const GgmlType& type, const uint8_t* in, float* out, int64_t n) {
  require(type.dequantize != nullptr, "dequantize: type {} is not supported", type.name);
  require(n % type.block == 0, "dequantize: {} numbers in blocks of {}", n, type.block);
  const int64_t blocks = n / type.block;
  parallel_for(blocks, (1 << 16) / type.block, [&](int64_t begin, int64_t end) {
    type.dequantize(in + begin * type.block_bytes, out + begin * type.block, end - begin);
  });
}

}  // namespace halftone
