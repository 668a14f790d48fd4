#include "halftone/ops/layer_norm.h"

#include <gtest/gtest.h>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(LayerNorm, GradientsMatchDifferences) {
  expect_gradients([](Tape&, const Vars& x) { return random_sum(layer_norm(x[0], 1e-5)); },
                   {random_tensor({4, 9}, 1)});
  for (const int64_t rows : {4, 130})  // the gain's gradient is summed by parts of 64
    expect_gradients(
        [](Tape&, const Vars& x) { return random_sum(layer_norm(x[0], x[1], x[2], 1e-5)); },
        {random_tensor({rows, 9}, 1), random_tensor({9}, 2), random_tensor({9}, 3)});
}

TEST(LayerNorm, HasAGainAndABiasBehindTheBareOne) {
  Tape tape(Tape::Mode::no_grad);
  const Var x = tape.constant(Tensor::of<double>({1, 2}, {1, 3}));  // mean 2, deviation 1
  const Var y = layer_norm(x, tape.constant(Tensor::of<double>({2}, {2, 3})),
                           tape.constant(Tensor::of<double>({2}, {10, 20})), 0);
  EXPECT_LT(largest_difference(y.value(), Tensor::of<double>({1, 2}, {8, 23})), 1e-15);
}

TEST(LayerNorm, LeavesTheGradientsOfOthersAlone) {
  expect_gradient_of_another_kept([](Tape& tape, const Var& x) {
    const Var gain = tape.constant(random_tensor({4}, 7));
    return layer_norm(x, gain, gain, 1e-5);
  });
}

}  // namespace
}  // namespace halftone
