#include "halftone/autograd/tape.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <string>

namespace halftone {
namespace {

// y = a b, elementwise, F64.
Var times(const Var& a, const Var& b, std::string* order = nullptr) {
  const auto product = [](const Tensor& x, const Tensor& y) {
    Tensor out = x.like();
    for (int64_t i = 0; i < out.numel(); ++i)
      out.data<double>()[i] = x.data<double>()[i] * y.data<double>()[i];
    return out;
  };
  return a.tape().record("times", {a, b}, product(a.value(), b.value()),
                         [a, b, product, order](const Tensor& dy) {
                           if (order) *order += std::to_string(static_cast<int>(a.value().item()));
                           if (a.needs_grad()) a.add_grad(product(dy, b.value()));
                           if (b.needs_grad()) b.add_grad(product(dy, a.value()));
                         });
}

Tensor number(double x) {
  return Tensor::scalar(x, DType::f64);
}

TEST(Tape, AVariableUsedTwiceGetsTheSumOfBothGradients) {
  Tape tape;
  const Var x = tape.variable(number(3));
  tape.backward(times(times(x, x), x));  // x^3
  EXPECT_EQ(x.grad().tensor.item(), 27);
}

TEST(Tape, AValueIsKeptOrMadeAgain) {
  Tape tape;
  Tensor kept = number(5);
  Var::Again later = tape.variable(kept).later();
  EXPECT_FALSE(kept.unique());
  EXPECT_EQ(later().raw(), kept.raw());
  int times_made = 0;
  later = tape.variable(kept)
              .made_by([&] {
                ++times_made;
                return number(7);
              })
              .later();
  EXPECT_EQ(times_made, 0);
  EXPECT_TRUE(kept.unique());
  const Var::Again another = later;
  EXPECT_EQ(later().item(), 7);
  EXPECT_EQ(another().item(), 7);
  EXPECT_EQ(times_made, 1);
}

TEST(Tape, GoesBackInReverseAndIsEmptyThen) {
  Tape tape;
  std::string order;
  const Var two = tape.variable(number(2));
  const Var y = times(times(two, two, &order), two, &order);  // records of 2 and 4
  EXPECT_EQ(tape.size(), 2u);
  tape.backward(y, 10);
  EXPECT_EQ(order, "42");
  EXPECT_EQ(tape.size(), 0u);
  EXPECT_EQ(two.grad().tensor.item(), 120);
}

TEST(Tape, SaysWhenAParametersGradientIsDone) {
  Param first{.name = "a", .value = number(2), .grad = {}},
      twice{.name = "b", .value = number(3), .grad = {}},
      last{.name = "c", .value = number(5), .grad = {}},
      unused{.name = "d", .value = number(7), .grad = {}};
  Tape tape;
  const Var a = tape.param(first), b = tape.param(twice);
  const Var ab = times(a, b);
  const Var abb = times(ab, tape.param(twice));
  const Var y = times(abb, tape.param(last));  // a b^2 c
  tape.param(unused);
  std::string done;
  tape.backward(y, 1, [&](Param& param) {
    const bool filled = param.grad.filled;
    done +=
        param.name + (filled ? std::to_string(std::lround(param.grad.tensor.item())) : "") + " ";
  });
  EXPECT_EQ(done, "d c18 b60 a45 ");
}

TEST(Tape, RecordsNothingThatNeedsNoGradient) {
  Tape tape, reading(Tape::Mode::no_grad);
  const Var constant = tape.constant(number(2));
  EXPECT_FALSE(times(constant, constant).needs_grad());
  EXPECT_EQ(tape.size(), 0u);
  const Var variable = reading.variable(number(2));
  EXPECT_FALSE(times(variable, variable).needs_grad());
  EXPECT_EQ(reading.size(), 0u);
}

TEST(Tape, GradientsOfAParameterAddUpOverTapes) {
  Param param{.name = "w", .value = number(5)};
  for (int i = 0; i < 3; ++i) {
    Tape tape;
    tape.backward(times(tape.param(param), tape.constant(number(2))));
  }
  EXPECT_EQ(param.grad.tensor.item(), 6);
  param.grad.clear();
  EXPECT_FALSE(param.grad.filled);
}

// The gradient of a sum is one tensor for both terms: what one adds to its own must not reach the
// other's.
TEST(Tape, AGradientThatTwoShareIsNotWrittenOver) {
  Tape tape;
  const Var a = tape.variable(number(1)), b = tape.variable(number(1));
  const Tensor shared = number(7);
  a.add_grad(shared);
  b.add_grad(shared);
  a.add_grad(number(1));
  Var::Target target = b.grad_target();
  EXPECT_EQ(target.beta, 1);
  target.tensor.fill(9);
  EXPECT_EQ(a.grad().tensor.item(), 8);
  EXPECT_EQ(b.grad().tensor.item(), 9);
  EXPECT_EQ(shared.item(), 7);
}

TEST(Tape, TheFirstContributionMayWrite) {
  Tape tape;
  const Var x = tape.variable(number(1));
  EXPECT_EQ(x.grad_target().beta, 0);
  EXPECT_EQ(x.grad_target().beta, 1);
}

TEST(Tape, WhatDoesNotFitIsTheCallersFault) {
  Tape tape, other;
  const Var x = tape.variable(number(1));
  EXPECT_THROW(x.add_grad(Tensor::zeros({2}, DType::f64)), std::invalid_argument);
  EXPECT_THROW(x.add_grad(Tensor::scalar(1, DType::f32)), std::invalid_argument);
  EXPECT_THROW(times(x, other.variable(number(1))), std::invalid_argument);
  EXPECT_THROW(tape.backward(tape.constant(number(1))), std::invalid_argument);
  EXPECT_THROW(tape.backward(tape.variable(Tensor::zeros({2}, DType::f64))), std::invalid_argument);
}

TEST(Tape, CountsWhereTheTimeGoes) {
  OpTimes op_times;
  Tape tape(Tape::Mode::record, &op_times);
  const Var x = tape.variable(number(2));
  tape.backward(times(times(x, x), x));
  using Pass = OpTimes::Pass;
  EXPECT_EQ(op_times.totals().at({"times", Pass::forward}).calls, 2);
  EXPECT_EQ(op_times.totals().at({"times", Pass::backward}).calls, 2);
}

TEST(Param, NormsAndBiasesDoNotDecay) {
  for (const auto& [role, decays] : {std::pair{ParamRole::weight, true},
                                     {ParamRole::latent, true},
                                     {ParamRole::scale, true},
                                     {ParamRole::embedding, true},
                                     {ParamRole::norm, false},
                                     {ParamRole::bias, false}})
    EXPECT_EQ((Param{.name = "p", .role = role}.decays()), decays);
}

}  // namespace
}  // namespace halftone
