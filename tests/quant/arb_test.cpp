#include "halftone/quant/arb.h"

#include <gtest/gtest.h>

#include <vector>

#include "quant_testing.h"

namespace halftone {
namespace {

using testing::random_numbers;

constexpr double kRounding = 1e-9;  // relative rise allowed to an update that must not rise

TEST(Arb, NoUpdateRaisesTheError) {
  for (uint64_t problem = 0; problem < 60; ++problem)
    for (const int order : {1, 2}) {
      const auto x = random_numbers(3 + static_cast<int64_t>(problem) * 2, 100 + problem,
                                    static_cast<int>(problem % 2));
      BinaryRow row;
      braq(x, order, row);
      double last = squared_error(x, row);
      const auto check = [&](const char* what) {
        const double now = squared_error(x, row);
        EXPECT_LE(now, last * (1 + kRounding) + 1e-15) << what << " of problem " << problem;
        last = now;
      };
      for (int t = 0; t < 15; ++t) {
        arb_update_mean(x, row);
        check("mean");
        arb_update_scales(x, row);
        check("scales");
        EXPECT_GE(row.alpha[0], 0);
        arb_update_signs(x, row);
        check("signs");
      }
    }
}

TEST(Arb, TheErrorFallsByTheSumOfTheoremOne) {
  const auto x = random_numbers(128, 7, 1);
  BinaryRow row;
  braq(x, 1, row);
  const double start = squared_error(x, row), alpha = row.alpha[0], mu = row.mu;
  for (int t = 0; t < 10; ++t) {
    arb_update_mean(x, row);
    arb_update_scales(x, row);
    const double expected =
        start - 128 * (row.alpha[0] * row.alpha[0] - alpha * alpha - (row.mu - mu) * (row.mu - mu));
    EXPECT_NEAR(squared_error(x, row) / expected, 1, 1e-12) << t;
    arb_update_signs(x, row);
  }
}

TEST(Arb, TheNearestOfFourPairsIsTheNestedSign) {
  const auto x = random_numbers(200, 8);
  BinaryRow row;
  braq(x, 2, row);
  row.alpha = {0.9, 0.4};
  arb_update_signs(x, row);
  for (size_t j = 0; j < x.size(); ++j) {
    const double z = x[j] - row.mu, first = z >= 0 ? 1 : -1;
    EXPECT_EQ(row.b[0][j], first);
    EXPECT_EQ(row.b[1][j], z - 0.9 * first >= 0 ? 1 : -1);
  }
}

TEST(Arb, WithoutRoundsIsTheResidualApproximation) {
  const auto x = random_numbers(50, 9);
  BinaryRow row, start;
  arb(x, 2, 0, row);
  braq(x, 2, start);
  EXPECT_EQ(row.mu, start.mu);
  EXPECT_EQ(row.alpha, start.alpha);
  EXPECT_EQ(row.b, start.b);
  arb(x, 2, 15, row);
  EXPECT_LT(squared_error(x, row), squared_error(x, start));
}

}  // namespace
}  // namespace halftone
