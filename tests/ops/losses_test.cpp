#include "halftone/ops/losses.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(Losses, GradientsMatchDifferences) {
  const Tensor t = random_tensor({4, 6}, 5);
  expect_gradients([&](Tape&, const Vars& x) { return normalised_mse(x[0], t); },
                   {random_tensor({4, 6}, 1)});
  expect_gradients([&](Tape&, const Vars& x) { return mse(x[0], t); }, {random_tensor({4, 6}, 1)});
}

TEST(Losses, AreZeroForIdenticalModels) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor t = random_tensor({4, 6}, 5);
  EXPECT_NEAR(normalised_mse(tape.constant(t.clone()), t).value().item(), 0, 1e-15);
}

TEST(Losses, AreTheirFormulas) {
  Tape tape(Tape::Mode::no_grad);
  const Var x = tape.constant(Tensor::of<double>({2, 2}, {3, 4, 0, 2}));
  const Tensor t = Tensor::of<double>({2, 2}, {6, 8, 5, 0});
  // One row has the teacher's direction, the other stands across it.
  EXPECT_NEAR(normalised_mse(x, t).value().item(), (0 + 2) / 2.0, 1e-15);
  EXPECT_NEAR(mse(x, t).value().item(), (9 + 16 + 25 + 4) / 4.0, 1e-15);
}

}  // namespace
}  // namespace halftone
