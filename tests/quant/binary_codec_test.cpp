#include "halftone/quant/binary_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/quant/low_bit_matrix.h"
#include "halftone/quant/packed_codes.h"

namespace halftone {
namespace {

Tensor halves_of(const std::vector<float>& x) {
  return Tensor::of<float>({static_cast<int64_t>(x.size())}, x).to(DType::f16);
}

// One row of four columns in two blocks; of each block the first column is salient.
LowBitMatrix small_matrix(const BinaryLayout& layout) {
  LowBitMatrix m{.layout = layout, .rows = 1, .columns = 4, .parts = {}};
  m.parts["signs"] = pack_codes({0, 1, 1, 0}, 1);
  m.parts["salient"] = pack_codes({1, 0, 1, 0}, 1);
  m.parts["residual_signs"] = pack_codes({1, 0}, 1);
  return m;
}

std::vector<float> weights_of(const LowBitMatrix& m) {
  const Tensor w = reconstruct(m);
  return {w.data<float>(), w.data<float>() + w.numel()};
}

TEST(BinaryCodec, WithoutAPartitionAWeightIsAMeanAndASignedScaleOfItsBlock) {
  LowBitMatrix m{.layout = BinaryLayout{.blocksize = 2}, .rows = 2, .columns = 3, .parts = {}};
  m.parts["signs"] = pack_codes({0, 1, 0, 1, 1, 0}, 1);
  // Of each block its rows, of each row scale and mean.
  m.parts["row_values"] = halves_of({1, 0, 2, 10, 3, 0.5, 4, -1});
  check_parts(m, "w");
  EXPECT_EQ(weights_of(m), (std::vector<float>{1, -1, 3.5, 8, 8, 3}));
  EXPECT_EQ(count_bits(m).paper_bits, 1);
}

TEST(BinaryCodec, SalientWeightsHaveTwoScalesAndOthersThoseOfTheirGroup) {
  LowBitMatrix m = small_matrix({.blocksize = 2, .partitioned = true});
  m.parts["groups"] = pack_codes({0, 1, 0, 0}, 1);
  // A row of a block: two scales and a mean, then scale and mean of groups 0 and 1.
  m.parts["row_values"] = halves_of({1, 0.25, 8, 2, 16, 3, 32, 5, 0.5, 64, 7, 128, 9, 256});
  check_parts(m, "w");
  EXPECT_EQ(weights_of(m), (std::vector<float>{8.75, 29, 59.5, 135}));
  EXPECT_EQ(count_bits(m).paper_bits, 1.5);
  EXPECT_EQ(count_bits(m).stored_bits, planned_bits(m.layout, 1, 4, 2));
}

TEST(BinaryCodec, ScalesOfRowsAndColumnsAreMultiplied) {
  LowBitMatrix m = small_matrix({.blocksize = 2, .row_column = true, .partitioned = true});
  m.parts["groups"] = pack_codes({0, 1, 0, 0}, 1);
  m.parts["row_values"] = halves_of({1, 0.25, 3, 5, 7, 0.5, 9, 11});
  // By column: two of a salient one, one for each group of another.
  m.parts["column_values"] = halves_of({2, 4, 6, 8, 10, 12, 14, 16});
  check_parts(m, "w");
  EXPECT_EQ(weights_of(m), (std::vector<float>{1, -40, -64, 126}));
  EXPECT_EQ(count_bits(m).stored_bits, planned_bits(m.layout, 1, 4, 2));
}

// A group that is not there would be read beyond the row's numbers.
TEST(BinaryCodec, AGroupThatTheLayoutHasNotIsRefused) {
  const auto fault = [](const BinaryLayout& layout, const std::vector<uint8_t>& groups) {
    LowBitMatrix m = small_matrix(layout);
    m.parts["groups"] = pack_codes(groups, layout.group_bits());
    m.parts["row_values"] = halves_of(std::vector<float>(2 * layout.row_values()));
    try {
      check_parts(m, "w");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const BinaryLayout three{.blocksize = 2, .partitioned = true, .num_p = 2};
  EXPECT_EQ(three.group_bits(), 2);
  EXPECT_EQ(fault(three, {0, 2, 0, 1}), "");
  EXPECT_EQ(fault(three, {0, 3, 0, 1}), "w.groups: group 3, at most 2 expected");
  BinaryLayout split = three;
  split.cgb = true;
  EXPECT_EQ(fault(split, {1, 2, 1, 0}), "");
  EXPECT_EQ(fault(split, {2, 0, 1, 0}), "w.groups: salient group 2, at most 1 expected");
}

}  // namespace
}  // namespace halftone
