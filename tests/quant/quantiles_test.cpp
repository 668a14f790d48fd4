#include "halftone/quant/quantiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "quant_testing.h"

namespace halftone {
namespace {

TEST(Quantiles, InterpolateLinearlyWhateverTheOrder) {
  std::vector<double> values(101);
  std::iota(values.begin(), values.end(), 0.0);
  std::reverse(values.begin(), values.end());
  const auto found = quantiles(values, 0.90);
  ASSERT_EQ(found.size(), 81u);
  EXPECT_NEAR(found[0], 10, 1e-12);
  EXPECT_NEAR(found[80], 90, 1e-12);
  EXPECT_NEAR(quantiles({3, 1}, 0.10)[0], 1.2, 1e-12);
  EXPECT_EQ(quantiles({0, 0, 0}, 0.90), std::vector<double>(81, 0));
}

// Of many sizes, with zeros, ties and denormal numbers.
TEST(Quantiles, EveryRankIsWhatASortPutsThere) {
  for (const int64_t n : {1, 2, 17, 3000}) {
    std::vector<double> values = testing::random_numbers(n, 9, 1);
    for (size_t k = 0; k < values.size(); ++k) {
      values[k] = std::abs(values[k]);
      if (k % 5 == 1) values[k] = 0;
      if (k % 5 == 2) values[k] = 0.25 * std::round(4 * values[k]);
      if (k % 50 == 3) values[k] *= 1e-310;
      if (k % 50 == 4) values[k] *= 1e300;
    }
    for (const bool denormal : {true, false}) {
      std::vector<double> sorted = values;
      std::sort(sorted.begin(), sorted.end());
      std::vector<int64_t> ranks(values.size());
      std::iota(ranks.begin(), ranks.end(), 0);
      EXPECT_EQ(in_order(values, ranks), sorted) << n << denormal;
      EXPECT_EQ(in_order(values, {n / 2}).front(), sorted[n / 2]) << n << denormal;
      for (double& x : values) x = x < 1e-300 ? 0 : x;
    }
  }
}

}  // namespace
}  // namespace halftone
