#include "halftone/ops/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(Rotary, GradientsMatchDifferences) {
  const RotaryTable table = make_rotary_table(8, {{1.0, 0.3, 0.01}, 1.25}, DType::f64);
  expect_gradients([&](Tape&, const Vars& x) { return random_sum(rotary(x[0], table, 2, 5, 3)); },
                   {random_tensor({10, 12}, 1)});
}

TEST(Rotary, TurnsThePairsOfAHeadByTheirPosition) {
  const RotaryTable table = make_rotary_table(8, {{0.5, 0.1}, 2}, DType::f64);
  Tape tape(Tape::Mode::no_grad);
  const Tensor x = random_tensor({6, 8}, 1);  // two sequences of three rows, two heads of four
  const Tensor y = rotary(tape.constant(x), table, 2, 3, 4).value();
  for (int64_t n = 0; n < 6; ++n)
    for (int64_t head = 0; head < 2; ++head)
      for (int64_t i = 0; i < 2; ++i) {
        const double angle = static_cast<double>(4 + n % 3) * (i ? 0.1 : 0.5);
        const double* from = x.data<double>() + n * 8 + head * 4;
        const double* to = y.data<double>() + n * 8 + head * 4;
        const double a = from[i], b = from[i + 2];
        EXPECT_NEAR(to[i], 2 * (a * std::cos(angle) - b * std::sin(angle)), 1e-14);
        EXPECT_NEAR(to[i + 2], 2 * (b * std::cos(angle) + a * std::sin(angle)), 1e-14);
      }
}

TEST(Rotary, LeavesWhatStandsBehindTheHeads) {
  const RotaryTable table = make_rotary_table(8, {{1.0, 0.3}, 1}, DType::f64);
  const Tensor x = random_tensor({6, 11}, 1);
  Tape tape(Tape::Mode::no_grad);
  const Tensor beside = rotary(tape.constant(x), table, 2, 3).value();
  Var own = tape.constant(x.clone());
  const void* place = own.value().raw();
  const Tensor in_place = rotary(std::move(own), table, 2, 3).value();
  EXPECT_EQ(in_place.raw(), place);
  EXPECT_NE(beside.raw(), x.raw());
  EXPECT_EQ(largest_difference(beside, in_place), 0);
  EXPECT_GT(largest_difference(beside, x), 0.1);
  for (int64_t i = 0; i < 6; ++i)
    for (int64_t j = 8; j < 11; ++j)
      EXPECT_EQ(beside.data<double>()[i * 11 + j], x.data<double>()[i * 11 + j]);
}

TEST(Rotary, LeavesTheGradientsOfOthersAlone) {
  const RotaryTable table = make_rotary_table(4, {{1.0, 0.3}}, DType::f64);
  expect_gradient_of_another_kept([&](Tape&, const Var& x) { return rotary(x, table, 1, 4, 0); });
}

}  // namespace
}  // namespace halftone
