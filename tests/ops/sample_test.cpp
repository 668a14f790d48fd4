#include "halftone/ops/sample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "halftone/base/rng.h"

namespace halftone {
namespace {

TEST(SampleTokens, DrawNoIdWithoutAToken) {
  Rng rng(1, RngStream::test);
  std::vector<int> drawn(8);
  for (const int64_t top_k : {0, 1, 2, 5, 8})
    for (const double temperature : {0.0, 1.0, 100.0})
      for (int trial = 0; trial < 200; ++trial) {
        Tensor logits = Tensor::of<float>({1, 8}, {0, 9, 1, 9, 2, 9, 9, 9});
        ++drawn[sample_tokens(logits, {top_k, {1, 0, 1, 0, 1}}, {{temperature, rng.uniform()}})[0]];
      }
  for (const int id : {1, 3, 5, 6, 7}) EXPECT_EQ(drawn[id], 0) << id;
  for (const int id : {0, 2, 4}) EXPECT_GT(drawn[id], 0) << id;
}

TEST(SampleTokens, WithoutTemperatureAreTheFirstOfTheLargest) {
  Rng rng(3, RngStream::test);
  for (const size_t size : {1, 7, 511, 512, 513, 3000}) {
    std::vector<float> values(size);
    for (float& value : values) value = static_cast<float>(rng.below(40)) - 60;
    Tensor logits = Tensor::of({1, static_cast<int64_t>(size)}, values);
    EXPECT_EQ(sample_tokens(logits, {}, {{}})[0],
              std::max_element(values.begin(), values.end()) - values.begin());
  }
}

TEST(SampleTokens, AreTheSameWhereEveryIdHasAToken) {
  Rng rng(2, RngStream::test);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<float> values(50);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(10 * std::sin(static_cast<double>(trial + 7 * i)));
    Tensor a = Tensor::of({1, 50}, values), b = a.clone();
    const std::vector<SampleDraw> draw{{1.3, rng.uniform()}};
    EXPECT_EQ(sample_tokens(a, {trial % 60, {}}, draw),
              sample_tokens(b, {trial % 60, std::vector<char>(50, 1)}, draw));
  }
}

// The share of each id among draws spread evenly over [0, 1) is its softmax among the k largest.
TEST(SampleTokens, FollowTheSoftmaxOfTheLargest) {
  const std::vector<double> logits{1.0, -0.5, 2.0, 0.25, 1.5};
  const double temperature = 0.7;
  for (const int64_t top_k : {0, 1, 3, 5}) {
    const int64_t kept = top_k ? top_k : 5;
    std::vector<double> sorted = logits, share(5, 0), wanted(5, 0);
    std::sort(sorted.rbegin(), sorted.rend());
    double sum = 0;
    for (size_t i = 0; i < 5; ++i)
      if (logits[i] >= sorted[kept - 1]) sum += wanted[i] = std::exp(logits[i] / temperature);
    const int draws = 20000;
    for (int d = 0; d < draws; ++d) {
      Tensor row = Tensor::of({1, 5}, std::vector<float>(logits.begin(), logits.end()));
      share[sample_tokens(row, {top_k, {}}, {{temperature, (d + 0.5) / draws}})[0]] += 1.0 / draws;
    }
    for (size_t i = 0; i < 5; ++i)
      EXPECT_NEAR(share[i], wanted[i] / sum, 1e-4) << top_k << " " << i;
  }
}

TEST(SampleTokens, RowsThatAreNotWantedAreLeftAlone) {
  Tensor logits = Tensor::of<float>({2, 3}, {0, 1, 2, 2, 1, 0});
  EXPECT_EQ(sample_tokens(logits, {0, {1, 1, 0}}, {{.wanted = false}, {}}),
            (std::vector<int32_t>{-1, 0}));
  EXPECT_EQ(logits.data<float>()[2], 2);
}

}  // namespace
}  // namespace halftone
