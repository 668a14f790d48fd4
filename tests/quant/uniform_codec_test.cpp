#include "halftone/quant/uniform_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/quant/low_bit_matrix.h"
#include "halftone/quant/packed_codes.h"

namespace halftone {
namespace {

// Two rows of four columns, two columns a group.
LowBitMatrix small_matrix(bool symmetric, bool ordered) {
  LowBitMatrix m{
      .layout =
          UniformLayout{.bits = 2, .group_size = 2, .symmetric = symmetric, .ordered = ordered},
      .rows = 2,
      .columns = 4,
      .parts = {}};
  m.parts["codes"] = pack_codes({0, 1, 2, 3, 3, 2, 1, 0}, 2);
  m.parts["scales"] = Tensor::of<float>({2, 2}, {1, 10, 0.5, 4}).to(DType::f16);
  if (!symmetric) m.parts["zeros"] = pack_codes({0, 3, 1, 2}, 2);
  if (ordered) m.parts["column_order"] = Tensor::of<int32_t>({4}, {3, 0, 2, 1});
  return m;
}

void expect_weights(const LowBitMatrix& m, const std::vector<float>& expected) {
  const Tensor w = reconstruct(m);
  EXPECT_EQ(std::vector<float>(w.data<float>(), w.data<float>() + w.numel()), expected);
}

TEST(UniformCodec, AWeightIsItsScaleTimesItsCodeLessTheZero) {
  expect_weights(small_matrix(false, false), {0, 1, -10, 0, 1, 0.5, -4, -8});
}

TEST(UniformCodec, ASymmetricOneHasItsZeroInTheMiddle) {
  expect_weights(small_matrix(true, false), {-2, -1, 0, 10, 0.5, 0, -4, -8});
}

TEST(UniformCodec, GroupsAreOfPositionsWhereTheColumnsAreOrdered) {
  // Columns 3 and 0 are the first group, 2 and 1 the second.
  expect_weights(small_matrix(true, true), {-2, -10, 0, 1, 0.5, 0, -4, -1});
}

TEST(UniformCodec, StoresTheBitsThatItPlans) {
  for (const bool symmetric : {false, true})
    for (const bool ordered : {false, true}) {
      const LowBitMatrix m = small_matrix(symmetric, ordered);
      check_parts(m, "w");
      EXPECT_EQ(count_bits(m).stored_bits, planned_bits(m.layout, 2, 4, 0));
      EXPECT_EQ(count_bits(m).paper_bits, 2);
    }
}

TEST(UniformCodec, AnOrderThatNamesNoColumnIsRefused) {
  for (const int32_t column : {-1, 4, 3}) {
    LowBitMatrix m = small_matrix(false, true);
    m.parts["column_order"].data<int32_t>()[2] = column;
    try {
      check_parts(m, "w");
      FAIL() << column;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("w.column_order[2]"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace halftone
