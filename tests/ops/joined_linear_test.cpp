#include "halftone/ops/joined_linear.h"

#include <gtest/gtest.h>

#include "halftone/ops/group_norm.h"
#include "halftone/ops/group_scaled_linear.h"
#include "halftone/ops/linear.h"
#include "halftone/ops/onebit_linear.h"
#include "halftone/ops/rms_norm.h"
#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(JoinedLinear, GradientsMatchDifferences) {
  expect_gradients(
      [](Tape&, const Vars& v) {
        return random_sum(joined_linear(v[0], {dense_matrix(v[1]), dense_matrix(v[2])}, v[3]));
      },
      {random_tensor({5, 6}, 1), random_tensor({4, 6}, 2), random_tensor({3, 6}, 3),
       random_tensor({5, 7}, 4)});
}

// The norm behind it reads it twice in backward, the second time for what it gives on.
TEST(JoinedLinearAgain, GradientsMatchDifferencesAndTheValueIsLetGo) {
  expect_gradients(
      [](Tape&, const Vars& v) {
        const Var y = joined_linear_again(v[0], {dense_matrix(v[1])}, v[2]);
        return random_sum(joined_linear(rms_norm(y, v[3], 1e-5), {dense_matrix(v[1])}, y));
      },
      {random_tensor({5, 6}, 1), random_tensor({6, 6}, 2), random_tensor({5, 6}, 3),
       random_tensor({6}, 4)});
  Tape tape;
  const Var x = tape.variable(random_tensor({5, 6}, 1));
  const Var y = joined_linear_again(x, {dense_matrix(tape.constant(random_tensor({6, 6}, 2)))}, x);
  const Tensor value = y.value();
  const Var::Again later = y.later();
  EXPECT_NE(later().raw(), value.raw());
  EXPECT_EQ(largest_difference(later(), value), 0);
}

// Columns, and gradients of what is read, as of the linears one by one.
TEST(JoinedLinear, IsItsLinearsSideBySide) {
  const std::vector<Tensor> inputs = {random_tensor({5, 8}, 1), random_tensor({4, 8}, 2),
                                      random_tensor({8}, 3),    random_tensor({4}, 4),
                                      random_tensor({3, 8}, 5), random_tensor({8}, 6),
                                      random_tensor({3}, 8)};
  const Tensor dy = random_tensor({5, 7}, 7), left = random_tensor({5, 4}, 0).like(),
               right = random_tensor({5, 3}, 0).like();
  for (int64_t i = 0; i < 5; ++i) {
    const double* row = dy.data<double>() + i * 7;
    std::copy_n(row, 4, Tensor(left).data<double>() + i * 4);
    std::copy_n(row + 4, 3, Tensor(right).data<double>() + i * 3);
  }
  Tape joined, apart;
  Vars a, b;
  for (const Tensor& x : inputs) {
    a.push_back(joined.variable(x));
    b.push_back(apart.variable(x));
  }
  const Var y = joined_linear(
      a[0], {onebit_matrix(a[1], a[2], a[3], {.post_layer_norm = false, .ste = Ste::tanh}),
             onebit_matrix(a[4], a[5], a[6], {.post_layer_norm = false, .ste = Ste::clipped})});
  const Var one =
      onebit_linear(b[0], b[1], b[2], b[3], {}, {.post_layer_norm = false, .ste = Ste::tanh});
  const Var other =
      onebit_linear(b[0], b[4], b[5], b[6], {}, {.post_layer_norm = false, .ste = Ste::clipped});
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < 7; ++j)
      EXPECT_NEAR(y.value().data<double>()[i * 7 + j],
                  j < 4 ? one.value().data<double>()[i * 4 + j]
                        : other.value().data<double>()[i * 3 + j - 4],
                  1e-13);
  joined.backward(y, dy);
  one.add_grad(left);
  apart.backward(other, right);
  for (size_t i = 0; i < inputs.size(); ++i)
    EXPECT_LE(largest_difference(a[i].grad().tensor, b[i].grad().tensor), 1e-13) << i;
}

TEST(GatedJoinedLinear, GradientsMatchDifferences) {
  for (const Activation f : {Activation::silu, Activation::gelu_tanh})
    expect_gradients(
        [f](Tape&, const Vars& v) {
          return random_sum(gated_joined_linear(v[0], 0, f, {dense_matrix(v[1])}, v[2]));
        },
        {random_tensor({5, 12}, 1), random_tensor({4, 6}, 2), random_tensor({5, 4}, 3)});
}

TEST(GatedJoinedLinear, GradientsMatchDifferencesBehindNorms) {
  for (const Activation f : {Activation::silu, Activation::gelu_tanh})
    expect_gradients(
        [f](Tape&, const Vars& v) {
          return random_sum(gated_joined_linear(v[0], 1e-5, f, {dense_matrix(v[1])}, v[2]));
        },
        {random_tensor({5, 12}, 1), random_tensor({4, 6}, 2), random_tensor({5, 4}, 3)});
}

// Both ways to the released layer: one product with norms behind it, and the layer's own.
TEST(JoinedLinear, IsItsLinearsSideBySideWithTheirNorms) {
  Tape tape(Tape::Mode::no_grad);
  const auto of = [&](Shape shape, uint64_t seed) {
    return tape.constant(random_tensor(std::move(shape), seed));
  };
  const Var x = of({5, 8}, 1), plus = of({5, 4}, 2), latent = of({4, 8}, 3), g = of({8}, 4),
            h = of({4}, 5);
  const Tensor expected = add(onebit_linear(x, latent, g, h, {}, {}), plus).value();
  const MadeMatrices one = {onebit_matrix(latent, g, h, {})};
  EXPECT_LE(largest_difference(joined_linear(x, one, plus).value(), expected), 1e-13);
  EXPECT_LE(largest_difference(joined_linear_again(x, one, plus).value(), expected), 1e-13);
  EXPECT_LE(
      largest_difference(group_norm(joined_product(x, one), {4}, OneBitOptions{}.eps, plus).value(),
                         expected),
      1e-13);
}

TEST(GatedJoinedLinear, IsTheLinearBehindTheGateWithItsNorm) {
  Tape tape(Tape::Mode::no_grad);
  const auto of = [&](Shape shape, uint64_t seed) {
    return tape.constant(random_tensor(std::move(shape), seed));
  };
  const Var up_gate = of({5, 16}, 1), plus = of({5, 4}, 2), latent = of({4, 8}, 3), g = of({8}, 4),
            h = of({4}, 5);
  const Tensor normed = group_norm(up_gate, {8, 8}, 1e-5).value();
  Tensor up = random_tensor({5, 8}, 6), gate = up.like();
  for (int64_t i = 0; i < 5; ++i) {
    std::copy_n(normed.data<double>() + i * 16, 8, up.data<double>() + i * 8);
    std::copy_n(normed.data<double>() + i * 16 + 8, 8, gate.data<double>() + i * 8);
  }
  const Var x = gated(tape.constant(gate), tape.constant(up), Activation::silu);
  EXPECT_LE(largest_difference(gated_joined_linear(up_gate, 1e-5, Activation::silu,
                                                   {onebit_matrix(latent, g, h, {})}, plus)
                                   .value(),
                               add(onebit_linear(x, latent, g, h, {}, {}), plus).value()),
            1e-13);
}

TEST(GatedJoinedLinear, TakesUpFirst) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor x = Tensor::of<double>({1, 4}, {2, 3, -1, 5});
  const Var ones = tape.constant(Tensor::full({1, 2}, DType::f64, 1));
  EXPECT_EQ(gated_joined_linear(tape.constant(x), 0, Activation::relu, {dense_matrix(ones)})
                .value()
                .item(),
            15);
}

TEST(JoinedLinear, LeavesTheGradientsOfOthersAlone) {
  expect_gradient_of_another_kept([](Tape& tape, const Var& x) {
    return joined_linear(x, {dense_matrix(tape.constant(random_tensor({x.dim(1), x.dim(1)}, 3)))},
                         x);
  });
}

TEST(JoinedLinear, RefusesMatricesOfOtherWidthsOrKinds) {
  Tape tape;
  const Var x = tape.constant(random_tensor({2, 6}, 1)),
            w = tape.constant(random_tensor({3, 5}, 2));
  EXPECT_THROW(joined_linear(x, {dense_matrix(w)}), std::invalid_argument);
  const Var latent = tape.constant(random_tensor({3, 6}, 3)),
            scale = tape.constant(random_tensor({3, 2}, 4));
  EXPECT_NO_THROW(joined_linear(x, {dense_matrix(latent)}));
  EXPECT_THROW(
      joined_linear(x, {dense_matrix(latent), group_scaled_matrix(latent, scale, Ste::tanh)}),
      std::invalid_argument);
}

}  // namespace
}  // namespace halftone
