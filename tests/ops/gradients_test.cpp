// Every smooth op against central differences in double.
#include <functional>

#include "halftone/ops/activation.h"
#include "halftone/ops/channel_distance.h"
#include "halftone/ops/embedding.h"
#include "halftone/ops/layer_norm.h"
#include "halftone/ops/linear.h"
#include "halftone/ops/logit_losses.h"
#include "halftone/ops/losses.h"
#include "halftone/ops/onebit_linear.h"
#include "halftone/ops/rms_norm.h"
#include "halftone/ops/rotary.h"
#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(Add, GradientsMatchDifferencesWhenATermIsUsedTwice) {
  expect_gradients(
      [](Tape&, const Vars& x) { return random_sum(add(add(x[0], x[1]), scale(x[0], 3.0))); },
      {random_tensor({3, 4}, 1), random_tensor({3, 4}, 2)});
}

TEST(Linear, GradientsMatchDifferences) {
  expect_gradients([](Tape&, const Vars& x) { return random_sum(linear(x[0], x[1], x[2])); },
                   {random_tensor({5, 7}, 1), random_tensor({3, 7}, 2), random_tensor({3}, 3)});
}

TEST(Embedding, GradientsAddUpOverRepeatedTokens) {
  expect_gradients(
      [](Tape&, const Vars& x) {
        return random_sum(embedding({2, 0, 2, 1}, x[0]));
      },
      {random_tensor({4, 6}, 1)});
}

TEST(AddPositions, GradientsAddUpOverSequences) {
  expect_gradients([](Tape&, const Vars& x) { return random_sum(add_positions(x[0], x[1], 3, 2)); },
                   {random_tensor({6, 5}, 1), random_tensor({7, 5}, 2)});
}

TEST(AddPositions, CountsRowsFromTheFirstInEachSequenceAndWidensF16) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor x = Tensor::of<float>({4, 1}, {100, 200, 300, 400}),
               table = Tensor::of<float>({5, 1}, {0, 1, 2, 3, 4});
  for (const DType dtype : {DType::f32, DType::f16})
    EXPECT_EQ(largest_difference(
                  add_positions(tape.constant(x), tape.constant(table.to(dtype)), 2, 3).value(),
                  Tensor::of<float>({4, 1}, {103, 204, 303, 404})),
              0);
  EXPECT_THROW(add_positions(tape.constant(x), tape.constant(table), 2, 4), std::invalid_argument);
  EXPECT_THROW(add_positions(tape.constant(x), tape.constant(table), 3, 0), std::invalid_argument);
}

TEST(RmsNorm, GradientsMatchDifferences) {
  for (const int64_t rows : {4, 130})  // the gain's gradient is summed by parts of 64
    for (const double offset : {0.0, 1.0})
      expect_gradients(
          [&](Tape&, const Vars& x) { return random_sum(rms_norm(x[0], x[1], 1e-5, offset)); },
          {random_tensor({rows, 9}, 1), random_tensor({9}, 2)});
}

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

TEST(RmsNorm, TheOffsetIsPartOfTheGain) {
  Tape tape(Tape::Mode::no_grad);
  const Var x = tape.constant(random_tensor({3, 8}, 1));
  const Tensor gain = random_tensor({4}, 2);
  Tensor whole = gain.clone();
  for (int64_t i = 0; i < 4; ++i) whole.data<double>()[i] += 1;
  EXPECT_EQ(largest_difference(rms_norm(x, tape.constant(gain), 1e-5, 1).value(),
                               rms_norm(x, tape.constant(whole), 1e-5).value()),
            0);
}

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

TEST(Rotary, GradientsMatchDifferences) {
  const RotaryTable table = make_rotary_table(8, {{1.0, 0.3, 0.01}, 1.25}, DType::f64);
  expect_gradients([&](Tape&, const Vars& x) { return random_sum(rotary(x[0], table, 2, 5, 3)); },
                   {random_tensor({10, 12}, 1)});
}

// Backward may put its result in the place of the output's gradient: not where that is the gradient
// of another variable too, as of the second term of a sum.
TEST(Gradients, OfAnotherVariableAreLeftAlone) {
  const RotaryTable table = make_rotary_table(4, {{1.0, 0.3}}, DType::f64);
  const Tensor latent = random_tensor({4, 4}, 5), scales = random_tensor({4}, 6);
  const std::vector<std::function<Var(Tape&, const Var&)>> ops = {
      [](Tape&, const Var& x) { return gated(x, x, Activation::silu); },
      [](Tape&, const Var& x) { return activate(x, Activation::relu); },
      [](Tape& tape, const Var& x) {
        const Var gain = tape.constant(random_tensor({4}, 7));
        return layer_norm(x, gain, gain, 1e-5);
      },
      [&](Tape&, const Var& x) { return rotary(x, table, 1, 4, 0); },
      [&](Tape& tape, const Var& x) {
        return onebit_linear(x, tape.constant(latent), tape.constant(scales), tape.constant(scales),
                             {}, {.post_layer_norm = true});
      }};
  for (const auto& op : ops) {
    Tape tape;
    const Var x = tape.variable(random_tensor({4, 4}, 1)),
              other = tape.variable(random_tensor({4, 4}, 2));
    tape.backward(random_sum(add(op(tape, x), other)));
    EXPECT_EQ(largest_difference(other.grad().tensor, random_tensor({4, 4}, 99)), 0);
  }
}

TEST(Losses, GradientsMatchDifferences) {
  const Tensor t = random_tensor({4, 6}, 5);
  expect_gradients([&](Tape&, const Vars& x) { return normalised_mse(x[0], t); },
                   {random_tensor({4, 6}, 1)});
  expect_gradients([&](Tape&, const Vars& x) { return mse(x[0], t); }, {random_tensor({4, 6}, 1)});
  expect_gradients([&](Tape&, const Vars& x) { return kl_divergence(x[0], t, 1.7); },
                   {random_tensor({4, 6}, 1)});
  expect_gradients(
      [&](Tape&, const Vars& x) {
        return cross_entropy(x[0], {1, kIgnoredTarget, 5, 0});
      },
      {random_tensor({4, 6}, 1)});
}

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

TEST(Losses, AreZeroForIdenticalModels) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor t = random_tensor({4, 6}, 5);
  EXPECT_NEAR(normalised_mse(tape.constant(t.clone()), t).value().item(), 0, 1e-15);
  EXPECT_NEAR(kl_divergence(tape.constant(t.clone()), t).value().item(), 0, 1e-15);
}

}  // namespace
}  // namespace halftone
