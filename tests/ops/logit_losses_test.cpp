#include "halftone/ops/logit_losses.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(LogitLosses, GradientsMatchDifferences) {
  const Tensor t = random_tensor({4, 6}, 5);
  expect_gradients([&](Tape&, const Vars& x) { return kl_divergence(x[0], t, 1.7); },
                   {random_tensor({4, 6}, 1)});
  expect_gradients(
      [&](Tape&, const Vars& x) {
        return cross_entropy(x[0], {1, kIgnoredTarget, 5, 0});
      },
      {random_tensor({4, 6}, 1)});
}

TEST(LogitLosses, AreZeroForIdenticalModels) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor t = random_tensor({4, 6}, 5);
  EXPECT_NEAR(kl_divergence(tape.constant(t.clone()), t).value().item(), 0, 1e-15);
}

TEST(LogitLosses, AreTheirFormulas) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor x = random_tensor({3, 5}, 1), t = random_tensor({3, 5}, 2);
  const auto log_softmax = [](const Tensor& logits, int64_t row, int64_t v, double tau) {
    double sum = 0;
    for (int64_t k = 0; k < 5; ++k) sum += std::exp(logits.data<double>()[row * 5 + k] / tau);
    return logits.data<double>()[row * 5 + v] / tau - std::log(sum);
  };
  const double tau = 1.7;
  double kl = 0;
  for (int64_t n = 0; n < 3; ++n)
    for (int64_t v = 0; v < 5; ++v)
      kl += tau * tau / 3 * std::exp(log_softmax(t, n, v, tau)) *
            (log_softmax(t, n, v, tau) - log_softmax(x, n, v, tau));
  EXPECT_NEAR(kl_divergence(tape.constant(x), t, tau).value().item(), kl, 1e-13);
  EXPECT_NEAR(cross_entropy(tape.constant(x), {4, kIgnoredTarget, 0}).value().item(),
              -(log_softmax(x, 0, 4, 1) + log_softmax(x, 2, 0, 1)) / 2, 1e-13);
  EXPECT_EQ(cross_entropy(tape.constant(x), {kIgnoredTarget, kIgnoredTarget, kIgnoredTarget})
                .value()
                .item(),
            0);
}

}  // namespace
}  // namespace halftone
