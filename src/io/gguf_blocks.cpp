// Types of one scale, or a scale and a minimum, a block.
#include "gguf_blocks.h"

namespace halftone {
namespace {

uint32_t u32_at(const uint8_t* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace

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

// As Q4_0, with the levels of a table.
void read_iq4_nl(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 18, out += 32) {
    const float d = half_at(in);
    for (int j = 0; j < 16; ++j) {
      out[j] = d * static_cast<float>(kIq4Values[in[2 + j] & 15]);
      out[j + 16] = d * static_cast<float>(kIq4Values[in[2 + j] >> 4]);
    }
  }
}

}  // namespace halftone
