#include "halftone/quant/grid.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "quant_testing.h"

namespace halftone {
namespace {

TEST(Grid, TheLastBitOfASumDoesNotDecideATie) {
  const double tie = 1 + 0x1p-11;
  EXPECT_EQ(half_value(tie), 1);
  EXPECT_EQ(half_value(tie + 0x1p-51), 1);
  EXPECT_EQ(half_value(tie + 0x1p-20), 1 + 0x1p-10);
  EXPECT_EQ(half_value(-tie - 0x1p-20), -1 - 0x1p-10);
}

TEST(Grid, HoldsZeroAndTheEndsOfItsNumbers) {
  const std::vector<double> w{-1, 2, 0.25};
  const Grid grid = fit_grid(w, {.bits = 4});
  EXPECT_EQ(grid.levels, 15);
  EXPECT_EQ(grid.scale, half_value(3 / 15.0));
  EXPECT_EQ(grid.zero, 5);
  EXPECT_EQ(grid.value(grid.code(0)), 0);
  EXPECT_EQ(grid.code(-1), 0);
  EXPECT_EQ(grid.code(2), 15);
  EXPECT_EQ(grid.code(1e9), 15);  // beyond the grid: its end
}

TEST(Grid, ASymmetricOneReachesAsFarOnBothSides) {
  const std::vector<double> w{-1, 2, 0.25};
  const Grid grid = fit_grid(w, {.bits = 3, .symmetric = true});
  EXPECT_EQ(grid.zero, 4);
  EXPECT_EQ(grid.scale, half_value(4 / 7.0));
}

TEST(Grid, OfZerosAloneHasAScaleAndGivesZeros) {
  const Grid grid = fit_grid(std::vector<double>(4, 0.0), {.bits = 2});
  EXPECT_GT(grid.scale, 0);
  EXPECT_EQ(grid.value(grid.code(0)), 0);
}

}  // namespace
}  // namespace halftone
