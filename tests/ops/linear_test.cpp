#include "halftone/ops/linear.h"

#include <gtest/gtest.h>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(Linear, GradientsMatchDifferences) {
  expect_gradients([](Tape&, const Vars& x) { return random_sum(linear(x[0], x[1], x[2])); },
                   {random_tensor({5, 7}, 1), random_tensor({3, 7}, 2), random_tensor({3}, 3)});
}

TEST(Linear, AWeightInF16IsWidened) {
  Tape tape(Tape::Mode::no_grad);
  const Var x = tape.constant(random_tensor({5, 7}, 1, 1.0, DType::f32));
  const Tensor half = random_tensor({3, 7}, 2, 1.0, DType::f16);
  EXPECT_LT(largest_difference(linear(x, tape.constant(half)).value(),
                               linear(x, tape.constant(half.to(DType::f32))).value()),
            1e-5);
}

TEST(Linear, ABiasIsAddedToEveryRowAndItsGradientIsTheirSum) {
  Tensor y = Tensor::of<float>({2, 2}, {1, 2, 3, 4});
  add_bias(Tensor::of<float>({2}, {10, 20}), y);
  EXPECT_EQ(largest_difference(y, Tensor::of<float>({2, 2}, {11, 22, 13, 24})), 0);
  Tensor sums = Tensor::of<float>({2}, {100, 200});
  add_column_sums(y, sums, 1);
  EXPECT_EQ(largest_difference(sums, Tensor::of<float>({2}, {124, 246})), 0);
  add_column_sums(y, sums, 0);
  EXPECT_EQ(largest_difference(sums, Tensor::of<float>({2}, {24, 46})), 0);
}

}  // namespace
}  // namespace halftone
