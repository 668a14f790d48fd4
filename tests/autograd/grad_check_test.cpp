#include "halftone/autograd/grad_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace halftone {
namespace {

// sum_i sin(x_i), with a gradient of `factor` cos(x_i), which 1 makes right.
Var sine_sum(const Var& x, double factor) {
  double sum = 0;
  for (int64_t i = 0; i < x.value().numel(); ++i) sum += std::sin(x.value().data<double>()[i]);
  return x.tape().record(
      "sine_sum", {x}, Tensor::scalar(sum, DType::f64), [x, factor](const Tensor& dy) {
        Tensor dx = x.value().like();
        for (int64_t i = 0; i < dx.numel(); ++i)
          dx.data<double>()[i] = dy.item() * factor * std::cos(x.value().data<double>()[i]);
        x.add_grad(dx);
      });
}

const Tensor kX = Tensor::of<double>({3}, {0.3, 1.1, -2});

TEST(GradCheck, ARightGradientPassesAndAWrongOneIsNamed) {
  const auto check = [](double factor) {
    return grad_check([&](Tape&, const std::vector<Var>& x) { return sine_sum(x[0], factor); },
                      {kX});
  };
  EXPECT_LT(check(1).worst, 1e-9);
  const GradCheckResult wrong = check(1.01);
  EXPECT_NEAR(wrong.worst, 0.01, 1e-4);
  EXPECT_EQ(wrong.where.find("input 0 entry"), 0u) << wrong.where;
}

TEST(GradCheck, AGradientThatIsNanOrMissingIsFound) {
  EXPECT_FALSE(
      grad_check([](Tape&, const std::vector<Var>& x) { return sine_sum(x[0], NAN); }, {kX}).worst <
      1);
  // The second input counts in the value, and gets no gradient.
  const auto forgets = [](Tape& tape, const std::vector<Var>& x) {
    const Var other = sine_sum(tape.constant(x[1].value()), 1);
    return tape.record("forgets", {x[0]},
                       Tensor::scalar(x[0].value().item() + other.value().item(), DType::f64),
                       [x](const Tensor& dy) { x[0].add_grad(dy.reshape(x[0].shape())); });
  };
  const GradCheckResult result = grad_check(forgets, {Tensor::scalar(1, DType::f64), kX});
  EXPECT_NEAR(result.worst, 1, 1e-6);
  EXPECT_EQ(result.where.find("input 1 entry"), 0u) << result.where;
}

TEST(GradCheck, ASurrogateStandsForTheFunction) {
  const auto twice = [](Tape&, const std::vector<Var>& x) { return sine_sum(x[0], 2); };
  const auto surrogate = [](Tape& tape, const std::vector<Var>& x) {
    Tensor doubled = Tensor::scalar(2 * sine_sum(x[0], 1).value().item(), DType::f64);
    return tape.constant(doubled);
  };
  EXPECT_GT(grad_check(twice, {kX}).worst, 0.5);
  EXPECT_LT(grad_check(twice, {kX}, {}, surrogate).worst, 1e-9);
}

TEST(GradCheck, ALongInputIsSampled) {
  int calls = 0;
  grad_check(
      [&](Tape&, const std::vector<Var>& x) {
        ++calls;
        return sine_sum(x[0], 1);
      },
      {Tensor::zeros({1000}, DType::f64)}, {.max_entries = 10});
  EXPECT_EQ(calls, 1 + 2 * 10);
}

}  // namespace
}  // namespace halftone
