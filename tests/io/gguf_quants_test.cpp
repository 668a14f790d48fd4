#include "halftone/io/gguf_quants.h"

#include <gtest/gtest.h>

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

TEST(GgufQuants, RefusesPartialBlocksAndTypesWithoutAReader) {
  std::vector<uint8_t> in(64);
  std::vector<float> out(64);
  EXPECT_THROW(dequantize(ggml_type(2), in.data(), out.data(), 31), std::invalid_argument);
  EXPECT_THROW(dequantize(ggml_type(9), in.data(), out.data(), 32), std::invalid_argument);
  EXPECT_THROW(dequantize(ggml_type(43), in.data(), out.data(), 32), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
