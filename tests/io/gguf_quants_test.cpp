#include "halftone/io/gguf_quants.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "halftone/base/half.h"
#include "halftone/base/rng.h"
#include "halftone/io/gguf.h"
#include "halftone/io/safetensors.h"
#include "io/file_builders.h"

namespace halftone {
namespace {

// Number i of one block, from the definition of its type, one bit field at a time.
class BlockReader {
 public:
  explicit BlockReader(const uint8_t* block) : block_(block) {}

  double number(uint32_t type, int i) const {
    switch (type) {
      case 2:
        return half(0) * (low_half(2, i, 16) - 8);
      case 3:
        return half(0) * low_half(4, i, 16) + half(2);
      case 6:
        return half(0) * (low_half(6, i, 16) + 16 * bits(8 * 2 + i, 1) - 16);
      case 7:
        return half(0) * (low_half(8, i, 16) + 16 * bits(8 * 4 + i, 1)) + half(2);
      case 8:
        return half(0) * signed_byte(2 + i);
      case 12:
        return k_number(i, k_low(16, i));
      case 13:
        return k_number(i, k_low(48, i) + 16 * bits(8 * (16 + i % 32) + i / 32, 1));
      case 14:
        return q6_number(i);
      case 41:
        return half(0) * (2 * bits(16 + i, 1) - 1);
      case 42:
        return half(0) * (bits(16 + 2 * i, 2) - 1);
    }
    return NAN;
  }

 private:
  int bits(int first, int count) const {
    int value = 0;
    for (int b = 0; b < count; ++b) value |= (block_[(first + b) / 8] >> (first + b) % 8 & 1) << b;
    return value;
  }
  double half(int byte) const {
    half_t h;
    std::memcpy(&h, block_ + byte, 2);
    return to_float(h);
  }
  int signed_byte(int byte) const { return static_cast<int8_t>(block_[byte]); }

  // Four bits of number i: byte i mod n behind `start`, low half first.
  int low_half(int start, int i, int n) const { return bits(8 * (start + i % n) + 4 * (i / n), 4); }
  // The same in groups of 64 numbers in 32 bytes.
  int k_low(int start, int i) const { return low_half(start + i / 64 * 32, i % 64, 32); }

  double k_number(int i, int q) const {
    const int j = i / 32, s = 32;  // sub-block; first bit of the packed scales
    const int scale =
        j < 4 ? bits(s + 8 * j, 6) : bits(s + 8 * (j + 4), 4) + 16 * bits(s + 8 * (j - 4) + 6, 2);
    const int min = j < 4 ? bits(s + 8 * (j + 4), 6)
                          : bits(s + 8 * (j + 4) + 4, 4) + 16 * bits(s + 8 * j + 6, 2);
    return half(0) * scale * q - half(2) * min;
  }

  double q6_number(int i) const {
    const int h = i / 128, at = i % 128;
    const int low = low_half(64 * h, at, 64);
    const int high = bits(8 * (128 + 32 * h + at % 32) + 2 * (at / 32), 2);
    return half(208) * signed_byte(192 + i / 16) * (low + 16 * high - 32);
  }

  const uint8_t* block_;
};

constexpr uint32_t kQuantised[] = {2, 3, 6, 7, 8, 12, 13, 14, 41, 42};

TEST(GgufQuants, EveryBlockIsReadAsItsDefinitionSays) {
  for (uint32_t id : kQuantised) {
    const GgmlType& type = ggml_type(id);
    SCOPED_TRACE(type.name);
    const int64_t blocks = 700;  // more than one thread's share
    std::vector<uint8_t> bytes(static_cast<size_t>(blocks * type.block_bytes));
    Rng rng(id, RngStream::test);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.below(256));
    for (int64_t b = 0; b < blocks; ++b)  // scales from 2^-14 to 2: no infinities, no NaN
      for (int64_t at : {int64_t{1}, int64_t{3}, type.block_bytes - 1})
        bytes[b * type.block_bytes + at] &= 0xbf;
    std::vector<float> out(static_cast<size_t>(blocks * type.block));
    dequantize(type, bytes.data(), out.data(), static_cast<int64_t>(out.size()));
    for (size_t i = 0; i < out.size(); ++i) {
      const BlockReader block(bytes.data() + i / type.block * type.block_bytes);
      const double exact = block.number(id, static_cast<int>(i % type.block));
      ASSERT_EQ(out[i], static_cast<float>(exact)) << "number " << i;
    }
  }
}

TEST(GgufQuants, BlockSizesAreThoseOfTheFormat) {
  const auto bits = [](uint32_t id) {
    const GgmlType& type = ggml_type(id);
    return 8.0 * static_cast<double>(type.block_bytes) / static_cast<double>(type.block);
  };
  EXPECT_EQ(bits(2), 4.5);
  EXPECT_EQ(bits(3), 5.0);
  EXPECT_EQ(bits(6), 5.5);
  EXPECT_EQ(bits(7), 6.0);
  EXPECT_EQ(bits(8), 8.5);
  EXPECT_EQ(bits(12), 4.5);
  EXPECT_EQ(bits(13), 5.5);
  EXPECT_EQ(bits(14), 6.5625);
  EXPECT_EQ(bits(30), 16);
  EXPECT_EQ(bits(41), 1.125);
  EXPECT_EQ(bits(42), 2.25);
}

// Rows of one magnitude a block of `type`; `zeros`: some of them 0.
std::vector<float> sign_rows(const GgmlType& type, int64_t blocks, bool zeros, Rng& rng) {
  std::vector<float> x;
  for (int64_t b = 0; b < blocks; ++b) {
    const float d = to_float(to_half(static_cast<float>(0.01 + rng.uniform())));
    for (int64_t i = 0; i < type.block; ++i) {
      const uint64_t kind = rng.below(zeros ? 3 : 2);
      x.push_back(kind == 0 ? d : kind == 1 ? -d : 0.0f);
    }
  }
  return x;
}

TEST(GgufQuants, SignsComeBackBitForBit) {
  Rng rng(7, RngStream::test);
  for (const char* name : {"Q1_0", "Q2_0", "TQ1_0", "TQ2_0", "Q4_0"})
    for (const bool zeros : {false, true}) {
      if (zeros && name == std::string("Q1_0")) continue;
      const GgmlType& type = ggml_type(std::string_view(name));
      const std::vector<float> x = sign_rows(type, 400, zeros, rng);
      std::vector<uint8_t> bytes(static_cast<size_t>(400 * type.block_bytes));
      std::vector<float> back(x.size());
      ASSERT_TRUE(quantize_exactly(type, x.data(), bytes.data(), static_cast<int64_t>(x.size())));
      dequantize(type, bytes.data(), back.data(), static_cast<int64_t>(back.size()));
      EXPECT_EQ(back, x) << name;
    }
}

TEST(GgufQuants, NumbersThatATypeDoesNotHoldAreRefused) {
  for (const char* name : {"Q1_0", "Q2_0", "TQ1_0", "TQ2_0", "Q4_0"}) {
    const GgmlType& type = ggml_type(std::string_view(name));
    std::vector<uint8_t> bytes(static_cast<size_t>(type.block_bytes));
    const std::vector<float> signs(static_cast<size_t>(type.block), 0.25f);
    const auto holds = [&](const std::vector<float>& x) {
      return quantize_exactly(type, x.data(), bytes.data(), static_cast<int64_t>(x.size()));
    };
    EXPECT_TRUE(holds(signs)) << name;
    std::vector<float> other = signs;
    other[5] = 0.26f;  // of no grid with 0.25
    EXPECT_FALSE(holds(other)) << name;
    other.assign(signs.size(), 0.1f);  // not an F16
    EXPECT_FALSE(holds(other)) << name;
    EXPECT_FALSE(holds(std::vector<float>(signs.begin(), signs.end() - 1))) << name;
  }
  std::vector<float> zero(128, 0.5f);
  zero[17] = 0;
  std::vector<uint8_t> bytes(18);
  EXPECT_FALSE(quantize_exactly(ggml_type("Q1_0"), zero.data(), bytes.data(), 128));
}

// Grids of 2, 3 and 4 bits around a zero, as RTN makes them, fit into Q4_0.
TEST(GgufQuants, GridsOfFewBitsComeBackBitForBit) {
  Rng rng(8, RngStream::test);
  const GgmlType& type = ggml_type("Q4_0");
  for (int trial = 0; trial < 200; ++trial) {
    const float d = to_float(to_half(static_cast<float>(0.01 + rng.uniform())));
    std::vector<float> x(32), back(32);
    for (float& v : x) v = d * static_cast<float>(static_cast<int>(rng.below(16)) - 8);
    std::vector<uint8_t> bytes(18);
    ASSERT_TRUE(quantize_exactly(type, x.data(), bytes.data(), 32));
    dequantize(type, bytes.data(), back.data(), 32);
    EXPECT_EQ(back, x);
  }
}

TEST(GgufQuants, Q8HoldsNumbersToHalfAStep) {
  Rng rng(9, RngStream::test);
  std::vector<float> x(320), back(320);
  for (float& v : x) v = static_cast<float>(rng.normal());
  std::vector<uint8_t> bytes(340);
  quantize_q8_0(x.data(), bytes.data(), 320);
  dequantize(ggml_type("Q8_0"), bytes.data(), back.data(), 320);
  for (size_t i = 0; i < x.size(); ++i) {
    float most = 0;
    for (size_t j = i / 32 * 32; j < i / 32 * 32 + 32; ++j) most = std::max(most, std::fabs(x[j]));
    EXPECT_NEAR(back[i], x[i], most / 127 * 0.5 + most * 6e-4) << i;
  }
}

TEST(GgufQuants, RefusesPartialBlocksAndTypesWithoutAReader) {
  std::vector<uint8_t> in(64);
  std::vector<float> out(64);
  EXPECT_THROW(dequantize(ggml_type(2), in.data(), out.data(), 31), std::invalid_argument);
  EXPECT_THROW(dequantize(ggml_type(9), in.data(), out.data(), 32), std::invalid_argument);
  EXPECT_THROW(dequantize(ggml_type(43), in.data(), out.data(), 32), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
