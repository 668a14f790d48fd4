#include "halftone/ops/group_norm.h"

#include "halftone/ops/layer_norm.h"
#include "halftone/ops/rms_norm.h"
#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(GroupNorm, GradientsMatchDifferences) {
  expect_gradients(
      [](Tape&, const Vars& v) {
        return random_sum(group_norm(v[0], {5, 3, 4}, 1e-5, v[1]));
      },
      {random_tensor({6, 12}, 1), random_tensor({6, 12}, 2)});
  expect_gradients([](Tape&, const Vars& v) { return random_sum(group_norm(v[0], {7}, 0.1)); },
                   {random_tensor({6, 7}, 1)});
}

TEST(GroupNorm, IsTheLayerNormOfEachGroup) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor left = random_tensor({5, 4}, 1), right = random_tensor({5, 9}, 2),
               plus = random_tensor({5, 13}, 3);
  Tensor both = plus.like();
  const Tensor of_left = layer_norm(tape.constant(left), 1e-5).value(),
               of_right = layer_norm(tape.constant(right), 1e-5).value();
  for (int64_t i = 0; i < 5; ++i) {
    std::copy_n(left.data<double>() + i * 4, 4, both.data<double>() + i * 13);
    std::copy_n(right.data<double>() + i * 9, 9, both.data<double>() + i * 13 + 4);
  }
  const Tensor y = group_norm(tape.constant(both), {4, 9}, 1e-5, tape.constant(plus)).value();
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < 13; ++j)
      EXPECT_NEAR(
          y.data<double>()[i * 13 + j] - plus.data<double>()[i * 13 + j],
          j < 4 ? of_left.data<double>()[i * 4 + j] : of_right.data<double>()[i * 9 + j - 4],
          1e-14);
}

// The norm behind it reads it in backward.
TEST(GroupNormAgain, GradientsMatchDifferencesAndTheValueIsLetGo) {
  expect_gradients(
      [](Tape&, const Vars& v) {
        return random_sum(rms_norm(group_norm_again(v[0], {2, 4}, 1e-5, v[1]), v[2], 1e-5));
      },
      {random_tensor({5, 6}, 1), random_tensor({5, 6}, 2), random_tensor({6}, 3)});
  Tape tape;
  const Var x = tape.variable(random_tensor({5, 6}, 1));
  const Var y = group_norm_again(x, {2, 4}, 1e-5, x);
  const Tensor value = y.value();
  const Var::Again later = y.later();
  EXPECT_NE(later().raw(), value.raw());
  EXPECT_EQ(largest_difference(later(), value), 0);
}

TEST(GroupNorm, LeavesTheGradientsOfOthersAlone) {
  expect_gradient_of_another_kept(
      [](Tape&, const Var& x) { return group_norm(x, {x.dim(1)}, 1e-5, x); });
}

TEST(GroupNorm, RefusesGroupsThatAreNotTheColumns) {
  Tape tape;
  const Var x = tape.constant(random_tensor({2, 6}, 1));
  EXPECT_THROW(group_norm(x, {3, 4}, 1e-5), std::invalid_argument);
  EXPECT_THROW(group_norm(x, {6}, 1e-5, tape.constant(random_tensor({2, 5}, 1))),
               std::invalid_argument);
}

}  // namespace
}  // namespace halftone
