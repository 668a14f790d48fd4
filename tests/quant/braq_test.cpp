#include "halftone/quant/braq.h"

#include <gtest/gtest.h>

#include <vector>

#include "quant_testing.h"

namespace halftone {
namespace {

TEST(Braq, OrderTwoIsExactForOneAndTwoElementsAndZeroForNone) {
  BinaryRow row;
  for (const std::vector<double>& x : {std::vector<double>{0.3}, {0.3, -1.7}}) {
    braq(x, 2, row);
    EXPECT_LT(squared_error(x, row), 1e-30);
  }
  braq({}, 2, row);
  EXPECT_EQ(row.mu, 0);
  EXPECT_EQ(row.alpha[0], 0);
}

TEST(Braq, IsTheFormula) {
  const std::vector<double> x{1, 2, 3, -2};  // mean 1, mean |x - 1| = 1.5
  BinaryRow row;
  braq(x, 1, row);
  EXPECT_DOUBLE_EQ(row.mu, 1);
  EXPECT_DOUBLE_EQ(row.alpha[0], 1.5);
  EXPECT_EQ(row.b[0], (std::vector<double>{1, 1, 1, -1}));  // sgn(0) = +1
}

TEST(Braq, ADifferenceThatRoundingMakesDecidesNoSign) {
  const std::vector<double> x{1, 1, 1, 1 - 1e-15};  // all of one level but for rounding
  BinaryRow row;
  braq(x, 1, row);
  EXPECT_EQ(row.b[0], (std::vector<double>{1, 1, 1, 1}));
}

}  // namespace
}  // namespace halftone
