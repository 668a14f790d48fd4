#include "halftone/ops/elementwise.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(Add, GradientsMatchDifferencesWhenATermIsUsedTwice) {
  expect_gradients(
      [](Tape&, const Vars& x) { return random_sum(add(add(x[0], x[1]), scale(x[0], 3.0))); },
      {random_tensor({3, 4}, 1), random_tensor({3, 4}, 2)});
}

TEST(WeightedSum, IsTheSumOfTheProducts) {
  Tape tape;
  const Var x = tape.variable(Tensor::of<double>({3}, {1, 2, 3}));
  const Tensor w = Tensor::of<double>({3}, {10, 0, -1});
  const Var y = weighted_sum(x, w);
  EXPECT_EQ(y.value().item(), 7);
  tape.backward(y, 2);
  EXPECT_EQ(largest_difference(x.grad().tensor, Tensor::of<double>({3}, {20, 0, -2})), 0);
}

TEST(Add, ShapesThatDifferAreRefused) {
  Tape tape;
  const Var x = tape.constant(random_tensor({2, 3}, 1));
  EXPECT_THROW(add(x, tape.constant(random_tensor({6}, 1))), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
