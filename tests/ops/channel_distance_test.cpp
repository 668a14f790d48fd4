#include "halftone/ops/channel_distance.h"

#include <gtest/gtest.h>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(ChannelDistance, GradientsMatchDifferences) {
  const Tensor t = random_tensor({7, 5}, 5);
  expect_gradients([&](Tape&, const Vars& x) { return channel_distance(x[0], t); },
                   {random_tensor({7, 5}, 1)});
}

TEST(ChannelDistance, ComparesMeansAndUnbiasedVariances) {
  Tape tape;
  const Var x =
      tape.constant(Tensor::of<double>({2, 2}, {0, 1, 2, 1}));  // means 1, 1; variances 2, 0
  const Tensor t = Tensor::of<double>({2, 2}, {0, 0, 0, 2});    // means 0, 1; variances 0, 2
  EXPECT_DOUBLE_EQ(channel_distance(x, t).value().item(), (1 + 2 + 0 + 2) / 2.0);
}

}  // namespace
}  // namespace halftone
