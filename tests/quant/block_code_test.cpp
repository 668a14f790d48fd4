#include "halftone/quant/block_code.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "halftone/quant/grid.h"
#include "quant_testing.h"

namespace halftone {
namespace {

// Two rows of three columns, the middle one salient.
BlockPartition small_partition() {
  return {.rows = 2, .width = 3, .salient = {0, 1, 0}, .group = {0, 1, 1, 1, 0, 0}};
}

TEST(BlockCode, NumbersSalientGroupsBeforeTheOthers) {
  const BlockCode split(small_partition(), true, 1, true, false);
  EXPECT_EQ(split.groups(), 4);
  EXPECT_EQ(split.group_of(0, 0), 2);
  EXPECT_EQ(split.group_of(0, 1), 1);
  EXPECT_EQ(split.group_of(0, 2), 3);
  EXPECT_EQ(split.group_of(1, 1), 0);
  EXPECT_EQ(split.order(1), 2);
  EXPECT_EQ(split.order(2), 1);
  const BlockCode whole(small_partition(), false, 1, true, false);
  EXPECT_EQ(whole.groups(), 3);
  EXPECT_EQ(whole.group_of(0, 1), 0);  // salient columns are one group whatever the bitmap says
  EXPECT_EQ(whole.group_of(1, 1), 0);
}

TEST(BlockCode, ARowsNumbersLieGroupByGroup) {
  const BlockCode means(small_partition(), true, 1, true, false);
  EXPECT_EQ(means.row_values, 2 * 3 + 2 * 2);  // two scales and a mean, one scale and a mean
  EXPECT_EQ(means.first_value(1), 3);
  EXPECT_EQ(means.first_value(3), 8);
  const BlockCode scales(small_partition(), true, 1, true, true);
  EXPECT_EQ(scales.row_values, 2 * 2 + 2);
  EXPECT_EQ(scales.first_value(1), 2);
  EXPECT_EQ(scales.first_value(3), 5);
}

TEST(BlockCode, WhatIsStoredOfAGroupIsItsRoundedValue) {
  BlockCode code(small_partition(), false, 1, true, false);
  const std::vector<double> w{0.1, 0.2, 0.3, 0.4, 0.5, 0.6};
  GatheredRow row;
  gather(code, 1, 1, w.data(), row);  // of row 1 only the last column is in group 0 of the others
  EXPECT_EQ(row.columns, std::vector<int64_t>{2});
  EXPECT_EQ(row.x, std::vector<double>{0.6});
  BinaryRow found;
  found.alpha = {0.1, 0};
  found.mu = 0.7;
  found.b[0] = {-1};
  store_row(code, 1, 1, row, found);
  EXPECT_EQ(code.value(1, 2), half_value(0.7) - half_value(0.1));
}

TEST(BlockCode, BinarisedGroupsAreThoseOfTheirOwnNumbers) {
  const auto w = testing::random_numbers(2 * 3, 50);
  BlockCode code(small_partition(), false, 1, true, false);
  binarise_groups(code, w, 0);
  // A group of one element is exact but for the rounding of its numbers.
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 3; ++j)
      EXPECT_NEAR(code.value(i, j), w[i * 3 + j], 2e-3 * std::abs(w[i * 3 + j]) + 1e-7)
          << i << " " << j;
}

}  // namespace
}  // namespace halftone
