#include "halftone/ops/activation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(Activation, GradientsMatchDifferences) {
  for (const Activation f : {Activation::silu, Activation::relu, Activation::gelu_tanh}) {
    expect_gradients([&](Tape&, const Vars& x) { return random_sum(activate(x[0], f)); },
                     {random_tensor({4, 9}, 1, 2.0)});
    expect_gradients([&](Tape&, const Vars& x) { return random_sum(gated(x[0], x[1], f)); },
                     {random_tensor({4, 9}, 1, 2.0), random_tensor({4, 9}, 2)});
  }
}

TEST(Activation, IsTheFormula) {
  const auto expected = [](Activation f, double a) {
    if (f == Activation::silu) return a / (1 + std::exp(-a));
    if (f == Activation::relu) return std::max(a, 0.0);
    return a * (1 + std::tanh(std::sqrt(2 / M_PI) * (a + 0.044715 * a * a * a))) / 2;
  };
  for (const Activation f : {Activation::silu, Activation::relu, Activation::gelu_tanh})
    for (const double a : {-30.0, -3.0, -0.7, 0.0, 0.2, 1.9, 25.0}) {
      Tape tape(Tape::Mode::no_grad);
      const auto value = [&](DType dtype) {
        return activate(tape.constant(Tensor::scalar(a, dtype)), f).value().item();
      };
      EXPECT_NEAR(value(DType::f64), expected(f, a), 1e-14) << a;
      EXPECT_NEAR(value(DType::f32), expected(f, a), 1e-6) << a;
    }
  Tape tape(Tape::Mode::no_grad);
  for (const Activation f : {Activation::silu, Activation::relu, Activation::gelu_tanh})
    EXPECT_TRUE(
        std::isnan(activate(tape.constant(Tensor::scalar(NAN, DType::f32)), f).value().item()));
}

TEST(Activation, LeavesTheGradientsOfOthersAlone) {
  expect_gradient_of_another_kept(
      [](Tape&, const Var& x) { return gated(x, x, Activation::silu); });
  expect_gradient_of_another_kept(
      [](Tape&, const Var& x) { return activate(x, Activation::relu); });
}

}  // namespace
}  // namespace halftone
