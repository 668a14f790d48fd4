#include "halftone/ops/group_scaled_linear.h"

#include <cmath>

#include "halftone/ops/linear.h"
#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

constexpr int64_t kOut = 5, kIn = 6;

// x, latent, scale, bias
std::vector<Tensor> example(int64_t groups) {
  return {random_tensor({4, kIn}, 1), random_tensor({kOut, kIn}, 2),
          random_tensor({kOut, groups}, 3), random_tensor({kOut}, 4)};
}

// c sign(W) by plain loops.
Tensor plain_weight(const Tensor& latent, const Tensor& scale) {
  Tensor out = latent.clone();
  const int64_t groups = scale.dim(1), width = latent.dim(1) / groups;
  for (int64_t o = 0; o < latent.dim(0); ++o)
    for (int64_t i = 0; i < latent.dim(1); ++i) {
      const double c = scale.data<double>()[o * groups + i / width];
      double& w = out.data<double>()[o * latent.dim(1) + i];
      w = w >= 0 ? c : -c;
    }
  return out;
}

TEST(GroupScaledLinear, MultipliesBySignsWithAScaleARowAndGroup) {
  for (const int64_t groups : {1, 2, 3, 6}) {
    Tape tape(Tape::Mode::no_grad);
    const auto in = example(groups);
    const Tensor w = plain_weight(in[1], in[2]);
    EXPECT_EQ(largest_difference(group_scaled_weight(in[1], in[2]), w), 0);
    const Var y = group_scaled_linear(tape.constant(in[0]), tape.constant(in[1]),
                                      tape.constant(in[2]), tape.constant(in[3]), Ste::tanh);
    const Var wanted = linear(tape.constant(in[0]), tape.constant(w), tape.constant(in[3]));
    EXPECT_LT(largest_difference(y.value(), wanted.value()), 1e-12) << groups;
  }
}

TEST(GroupScaledLinear, GradientsOfInputScalesAndBiasMatchDifferences) {
  for (const int64_t groups : {1, 2, 3}) {
    const auto in = example(groups);
    const auto loss = [&](Tape& tape, const Vars& v) {
      return random_sum(group_scaled_linear(v[0], tape.constant(in[1]), v[1], v[2], Ste::identity));
    };
    expect_gradients(loss, {in[0], in[2], in[3]});
  }
}

// With D = dy^T x, the plain weight's gradient: c D ste(W).
TEST(GroupScaledLinear, LatentGradientIsTheWeightsTimesScaleAndSlope) {
  for (const int64_t groups : {1, 3})
    for (const Ste ste : {Ste::tanh, Ste::identity, Ste::clipped}) {
      const auto in = example(groups);
      Tape plain, tape;
      const Var w = plain.variable(plain_weight(in[1], in[2])), latent = tape.variable(in[1]);
      plain.backward(random_sum(linear(plain.constant(in[0]), w)));
      tape.backward(random_sum(
          group_scaled_linear(tape.constant(in[0]), latent, tape.constant(in[2]), {}, ste)));
      for (int64_t i = 0; i < kOut * kIn; ++i) {
        const double x = in[1].data<double>()[i];
        const double slope = ste == Ste::tanh       ? 1.001 - std::tanh(x) * std::tanh(x)
                             : ste == Ste::identity ? 1.0
                                                    : (std::abs(x) <= 1 ? 1.0 : 0.0);
        const double c = in[2].data<double>()[i / (kIn / groups)];
        EXPECT_NEAR(latent.grad().tensor.data<double>()[i],
                    w.grad().tensor.data<double>()[i] * c * slope, 1e-12);
      }
    }
}

TEST(GroupScaledLinear, GradientsAddUp) {
  const auto in = example(2);
  const auto gradient = [&](int uses) {
    Tape tape;
    const Var latent = tape.variable(in[1]), scale = tape.variable(in[2]);
    const auto use = [&] {
      return random_sum(
          group_scaled_linear(tape.constant(in[0]), latent, scale, {}, Ste::identity));
    };
    tape.backward(uses == 1 ? use() : add(use(), use()));
    Tensor sum = latent.grad().tensor.clone();
    for (int64_t i = 0; i < sum.numel(); ++i)
      sum.data<double>()[i] += scale.grad().tensor.data<double>()[i / (kIn / 2)];
    return sum;
  };
  const Tensor once = gradient(1), twice = gradient(2);
  for (int64_t i = 0; i < once.numel(); ++i)
    EXPECT_NEAR(twice.data<double>()[i], 2 * once.data<double>()[i], 1e-12);
}

// The tables of signs and the dense product, forward and backward.
TEST(GroupScaledLinear, FloatAgreesWithDouble) {
  for (const int64_t groups : {1, 3}) {
    const auto in = example(groups);
    const auto run = [&](DType dtype) {
      Tape tape;
      Vars v;
      for (const Tensor& t : in) v.push_back(tape.variable(t.to(dtype)));
      const Var y = group_scaled_linear(v[0], v[1], v[2], v[3], Ste::tanh);
      std::vector<Tensor> out{y.value()};
      tape.backward(random_sum(y));
      for (const Var& x : v) out.push_back(x.grad().tensor);
      return out;
    };
    const auto wide = run(DType::f64), narrow = run(DType::f32);
    for (size_t i = 0; i < wide.size(); ++i)
      EXPECT_LT(largest_difference(wide[i], narrow[i]), 1e-5) << groups << " " << i;
  }
}

TEST(GroupScaledLinear, ZeroLatentsCountAsPlusOne) {
  Tape tape(Tape::Mode::no_grad);
  for (const double zero : {0.0, -0.0}) {
    const Var y =
        group_scaled_linear(tape.constant(Tensor::full({1, 2}, DType::f64, 2)),
                            tape.constant(Tensor::full({1, 2}, DType::f64, zero)),
                            tape.constant(Tensor::full({1, 2}, DType::f64, 3)), {}, Ste::tanh);
    EXPECT_EQ(y.value().item(), 12);
  }
}

TEST(GroupScaledLinear, GroupsThatDoNotDivideTheInputsAreRefused) {
  Tape tape;
  const auto in = example(4);
  EXPECT_THROW(group_scaled_linear(tape.constant(in[0]), tape.constant(in[1]), tape.constant(in[2]),
                                   {}, Ste::tanh),
               std::invalid_argument);
}

TEST(GroupScaledLinear, LeavesTheGradientsOfOthersAlone) {
  const Tensor latent = random_tensor({4, 4}, 5), scale = random_tensor({4, 2}, 6);
  expect_gradient_of_another_kept([&](Tape& tape, const Var& x) {
    return group_scaled_linear(x, tape.constant(latent), tape.constant(scale), {}, Ste::tanh);
  });
}

}  // namespace
}  // namespace halftone
