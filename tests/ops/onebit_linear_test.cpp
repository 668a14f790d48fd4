#include "halftone/ops/onebit_linear.h"

#include <cmath>

#include "halftone/ops/layer_norm.h"
#include "halftone/ops/linear.h"
#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

// x, latent, g, h, bias
std::vector<Tensor> example() {
  return {random_tensor({4, 6}, 1), random_tensor({5, 6}, 2), random_tensor({6}, 3),
          random_tensor({5}, 4), random_tensor({5}, 5)};
}

Var layer(const Vars& v, const OneBitOptions& options) {
  return onebit_linear(v[0], v[1], v[2], v[3], v[4], options);
}

TEST(OneBitLinear, GradientsOfInputScalesAndBiasMatchDifferences) {
  const auto inputs = example();
  for (bool post_layer_norm : {true, false}) {
    const auto loss = [&](Tape& tape, const Vars& x) {
      return random_sum(layer({x[0], tape.constant(inputs[1]), x[1], x[2], x[3]},
                              {.post_layer_norm = post_layer_norm}));
    };
    expect_gradients(loss, {inputs[0], inputs[2], inputs[3], inputs[4]});
  }
}

// The plain layer on a real-valued matrix in the place of the signs: its derivative there is dS.
Tensor sign_gradient(const std::vector<Tensor>& in, bool post_layer_norm) {
  Tape tape;
  Tensor signs = in[1].clone();
  for (int64_t i = 0; i < signs.numel(); ++i)
    signs.data<double>()[i] = signs.data<double>()[i] >= 0 ? 1 : -1;
  Tensor u = in[0].clone();
  for (int64_t i = 0; i < u.numel(); ++i) u.data<double>()[i] *= in[2].data<double>()[i % 6];
  const Var s = tape.variable(signs);
  // y = (u S^T) o h as u (h o S)^T, composed: rows of S scaled by h.
  Tensor dy_weights = random_tensor({4, 5}, 99);
  const Var p = linear(tape.constant(u), s);
  Tensor h_rows = Tensor::uninitialized({4, 5}, DType::f64);
  for (int64_t i = 0; i < 20; ++i) h_rows.data<double>()[i] = in[3].data<double>()[i % 5];
  // Without LN the loss is sum w o (p o h); with LN its gradient at y is taken from layer_norm.
  Tensor y = p.value().clone();
  for (int64_t i = 0; i < 20; ++i) y.data<double>()[i] *= h_rows.data<double>()[i];
  Tensor dy = dy_weights;
  if (post_layer_norm) {
    Tape inner;
    const Var yv = inner.variable(y);
    inner.backward(weighted_sum(layer_norm(yv, 1e-5), dy_weights));
    dy = yv.grad().tensor;
  }
  Tensor dp = dy.clone();
  for (int64_t i = 0; i < 20; ++i) dp.data<double>()[i] *= h_rows.data<double>()[i];
  tape.backward(weighted_sum(p, dp));
  return s.grad().tensor;
}

TEST(OneBitLinear, LatentGradientIsTheSignGradientTimesTheSurrogatesSlope) {
  const auto in = example();
  for (bool post_layer_norm : {true, false})
    for (Ste ste : {Ste::tanh, Ste::identity, Ste::clipped}) {
      Tape tape;
      const Var latent = tape.variable(in[1].clone());
      tape.backward(random_sum(layer({tape.constant(in[0]), latent, tape.constant(in[2]),
                                      tape.constant(in[3]), tape.constant(in[4])},
                                     {.post_layer_norm = post_layer_norm, .ste = ste})));
      const Tensor ds = sign_gradient(in, post_layer_norm);
      for (int64_t i = 0; i < 30; ++i) {
        const double w = in[1].data<double>()[i];
        const double slope = ste == Ste::tanh       ? 1.001 - std::tanh(w) * std::tanh(w)
                             : ste == Ste::identity ? 1.0
                                                    : (std::abs(w) <= 1 ? 1.0 : 0.0);
        EXPECT_NEAR(latent.grad().tensor.data<double>()[i], ds.data<double>()[i] * slope, 1e-12);
      }
    }
}

TEST(OneBitLinear, StraightThroughFactorsHaveTheirStatedValues) {
  // One input, one output, no normalisation: dW = ste(W) for x = g = h = 1.
  const auto factor = [](double w, Ste ste) {
    Tape tape;
    const Tensor one = Tensor::full({1}, DType::f64, 1), x = Tensor::full({1, 1}, DType::f64, 1);
    const Var latent = tape.variable(Tensor::full({1, 1}, DType::f64, w));
    tape.backward(
        weighted_sum(onebit_linear(tape.constant(x), latent, tape.constant(one), tape.constant(one),
                                   {}, {.post_layer_norm = false, .ste = ste}),
                     x));
    return latent.grad().tensor.item();
  };
  EXPECT_NEAR(factor(0, Ste::tanh), 1.001, 1e-12);
  EXPECT_NEAR(factor(0.01, Ste::tanh), 1.0009, 1e-6);
  EXPECT_NEAR(factor(1, Ste::tanh), 0.420974, 1e-6);
  EXPECT_NEAR(factor(3, Ste::tanh), 0.010866, 1e-6);
  EXPECT_EQ(factor(1, Ste::clipped), 1);
  EXPECT_EQ(factor(1.0001, Ste::clipped), 0);
  EXPECT_EQ(factor(-3, Ste::identity), 1);
}

TEST(OneBitLinear, ZeroLatentsCountAsPlusOne) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor one = Tensor::full({1}, DType::f64, 1);
  for (double zero : {0.0, -0.0}) {
    const Var y =
        onebit_linear(tape.constant(Tensor::full({1, 1}, DType::f64, 2)),
                      tape.constant(Tensor::full({1, 1}, DType::f64, zero)), tape.constant(one),
                      tape.constant(one), {}, {.post_layer_norm = false});
    EXPECT_EQ(y.value().item(), 2);
  }
}

TEST(OneBitLinear, NormalisationHidesACommonFactorOfTheOutputScale) {
  Tape tape(Tape::Mode::no_grad);
  auto in = example();
  const Var y = layer(
      {tape.constant(in[0]), tape.constant(in[1]), tape.constant(in[2]), tape.constant(in[3]), {}},
      {.eps = 1e-12});
  Tensor doubled = in[3].clone();
  for (int64_t i = 0; i < 5; ++i) doubled.data<double>()[i] *= 2;
  const Var z = layer({tape.constant(in[0]),
                       tape.constant(in[1]),
                       tape.constant(in[2]),
                       tape.constant(doubled),
                       {}},
                      {.eps = 1e-12});
  EXPECT_LT(largest_difference(y.value(), z.value()), 1e-9);
}

TEST(OneBitLinear, FloatAgreesWithDouble) {
  Tape tape(Tape::Mode::no_grad);
  const auto in = example();
  Vars wide, narrow;
  for (const Tensor& t : in) {
    wide.push_back(tape.constant(t));
    narrow.push_back(tape.constant(t.to(DType::f32)));
  }
  EXPECT_LT(largest_difference(layer(wide, {}).value(), layer(narrow, {}).value()), 1e-5);
}

TEST(OneBitLinear, LeavesTheGradientsOfOthersAlone) {
  const Tensor latent = random_tensor({4, 4}, 5), scales = random_tensor({4}, 6);
  expect_gradient_of_another_kept([&](Tape& tape, const Var& x) {
    return onebit_linear(x, tape.constant(latent), tape.constant(scales), tape.constant(scales), {},
                         {.post_layer_norm = true});
  });
}

}  // namespace
}  // namespace halftone
