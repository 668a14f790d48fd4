// The types that hold signs: one or two bits a number, or five numbers of three values a byte. They
// are written where they hold the numbers bit for bit, and not otherwise.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "gguf_blocks.h"

namespace halftone {
namespace {

constexpr int kPowers[] = {1, 3, 9, 27, 81};

// The block's only magnitude beside 0, if F16 holds it.
bool common_magnitude(const float* x, int n, half_t& d) {
  float most = 0;
  for (int j = 0; j < n; ++j) most = std::max(most, std::fabs(x[j]));
  d = to_half(most);
  if (to_float(d) != most) return false;
  return std::all_of(x, x + n, [&](float v) { return v == 0 || std::fabs(v) == most; });
}

int sign_code(float x) {  // -1, 0, 1 -> 0, 1, 2
  return x < 0 ? 0 : x == 0 ? 1 : 2;
}

void put_half(uint8_t* out, half_t h) {
  std::memcpy(out, &h, sizeof h);
}

// Where number i of a TQ1_0 block lies: its byte, and the place of its trit from the front.
struct Trit {
  int byte, place;
};
Trit trit_of(int i) {
  if (i < 160) return {i % 32, i / 32};
  if (i < 240) return {32 + (i - 160) % 16, (i - 160) / 16};
  return {48 + (i - 240) % 4, (i - 240) / 4};
}

}  // namespace

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

// A byte is five trits as a fraction of 243: times three, and the trit is what overflows.
void read_tq1_0(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 54, out += 256) {
    const float d = half_at(in + 52);
    for (int i = 0; i < 256; ++i) {
      const Trit at = trit_of(i);
      const int rest = in[at.byte] * kPowers[at.place] & 255;
      out[i] = d * static_cast<float>((rest * 3 >> 8) - 1);
    }
  }
}

// Two halves of 128: byte m of 32 holds numbers m, m + 32, m + 64, m + 96.
void read_tq2_0(const uint8_t* in, float* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 66, out += 256) {
    const float d = half_at(in + 64);
    for (int i = 0; i < 256; ++i)
      out[i] = d * static_cast<float>((in[32 * (i / 128) + i % 32] >> 2 * (i / 32 % 4) & 3) - 1);
  }
}

bool write_q1_0(const float* in, uint8_t* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 128, out += 18) {
    half_t d;
    if (!common_magnitude(in, 128, d)) return false;
    // A zero would come back as d, unless all are.
    if (to_float(d) != 0 && std::find(in, in + 128, 0.0f) != in + 128) return false;
    put_half(out, d);
    std::fill_n(out + 2, 16, uint8_t{0});
    for (int j = 0; j < 128; ++j)
      if (!std::signbit(in[j])) out[2 + j / 8] |= static_cast<uint8_t>(1 << j % 8);
  }
  return true;
}

bool write_q2_0(const float* in, uint8_t* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 64, out += 18) {
    half_t d;
    if (!common_magnitude(in, 64, d)) return false;
    put_half(out, d);
    std::fill_n(out + 2, 16, uint8_t{0});
    for (int j = 0; j < 64; ++j)
      out[2 + j / 4] |= static_cast<uint8_t>(sign_code(in[j]) << 2 * (j % 4));
  }
  return true;
}

bool write_tq1_0(const float* in, uint8_t* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 256, out += 54) {
    half_t d;
    if (!common_magnitude(in, 256, d)) return false;
    int number[52] = {};
    for (int i = 0; i < 256; ++i) {
      const Trit at = trit_of(i);
      number[at.byte] += sign_code(in[i]) * kPowers[4 - at.place];
    }
    for (int byte = 0; byte < 52; ++byte)
      out[byte] = static_cast<uint8_t>((number[byte] * 256 + 242) / 243);
    put_half(out + 52, d);
  }
  return true;
}

bool write_tq2_0(const float* in, uint8_t* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 256, out += 66) {
    half_t d;
    if (!common_magnitude(in, 256, d)) return false;
    std::fill_n(out, 64, uint8_t{0});
    for (int i = 0; i < 256; ++i)
      out[32 * (i / 128) + i % 32] |= static_cast<uint8_t>(sign_code(in[i]) << 2 * (i / 32 % 4));
    put_half(out + 64, d);
  }
  return true;
}

// Numbers d q, q a whole number from -8 to 7: d is the least magnitude, or that over 2, 3, ... 8.
bool write_q4_0(const float* in, uint8_t* out, int64_t blocks) {
  for (int64_t b = 0; b < blocks; ++b, in += 32, out += 18) {
    float least = 0;
    for (int j = 0; j < 32; ++j)
      if (in[j] != 0 && (least == 0 || std::fabs(in[j]) < least)) least = std::fabs(in[j]);
    const auto fits = [&](half_t d) {
      const float step = to_float(d);
      int q[32] = {};
      for (int j = 0; j < 32; ++j) {
        const float whole = step == 0 ? 0 : std::nearbyint(in[j] / step);
        if (!(whole >= -8 && whole <= 7) || step * whole != in[j]) return false;
        q[j] = static_cast<int>(whole) + 8;
      }
      put_half(out, d);
      for (int j = 0; j < 16; ++j) out[2 + j] = static_cast<uint8_t>(q[j] | q[j + 16] << 4);
      return true;
    };
    bool found = false;
    for (int k = 1; k <= 8 && !found; ++k)
      found = fits(to_half(least / static_cast<float>(k))) ||
              fits(to_half(-least / static_cast<float>(k)));
    if (!found) return false;
  }
  return true;
}

}  // namespace halftone
