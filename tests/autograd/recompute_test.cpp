#include "halftone/autograd/recompute.h"

#include <gtest/gtest.h>

#include <string>

#include "halftone/autograd/grad_check.h"

namespace halftone {
namespace {

// y = x^2, elementwise, F64; counts its forwards.
Var square(const Var& x, int* forwards = nullptr) {
  if (forwards) ++*forwards;
  Tensor y = Tensor::uninitialized(x.shape(), DType::f64);
  for (int64_t i = 0; i < y.numel(); ++i) {
    const double v = x.value().data<double>()[i];
    y.data<double>()[i] = v * v;
  }
  return x.tape().record("square", {x}, y, [x](const Tensor& dy) {
    Tensor dx = Tensor::uninitialized(x.shape(), DType::f64);
    for (int64_t i = 0; i < dx.numel(); ++i)
      dx.data<double>()[i] = 2 * x.value().data<double>()[i] * dy.data<double>()[i];
    x.add_grad(dx);
  });
}

Var sum(const Var& x) {
  double total = 0;
  for (int64_t i = 0; i < x.value().numel(); ++i) total += x.value().data<double>()[i];
  return x.tape().record("sum", {x}, Tensor::full({1}, DType::f64, total), [x](const Tensor& dy) {
    x.add_grad(Tensor::full(x.shape(), DType::f64, dy.item()));
  });
}

Tensor three() {
  Tensor x = Tensor::uninitialized({3}, DType::f64);
  for (int64_t i = 0; i < 3; ++i) x.data<double>()[i] = 0.5 + static_cast<double>(i);
  return x;
}

TEST(Recomputed, GradientsMatchDifferences) {
  const auto fourth_power = [](Tape&, const Var& x) { return square(square(x)); };
  const GradCheckResult result = grad_check(
      [&](Tape&, const std::vector<Var>& x) {
        return sum(recomputed(recomputed(x[0], fourth_power), fourth_power));
      },
      {three()});
  EXPECT_LT(result.worst, 1e-6) << result.where;
}

TEST(Recomputed, ReachesParametersInsideAndRunsTheSegmentAgainInBackwardAlone) {
  Param param{.name = "p", .value = three(), .grad = {}};
  int forwards = 0;
  Tape tape;
  const Var x = tape.variable(three());
  const Var y =
      recomputed(x, [&](Tape& on, const Var&) { return square(on.param(param), &forwards); });
  EXPECT_EQ(forwards, 1);
  EXPECT_EQ(tape.size(), 1u);
  tape.backward(sum(y));
  EXPECT_EQ(forwards, 2);
  EXPECT_DOUBLE_EQ(param.grad.tensor.data<double>()[2], 5.0);
  EXPECT_FALSE(x.grad().filled);
}

TEST(Recomputed, RunsTheSegmentAsItIsWhereItsInputNeedsNoGradient) {
  Param param{.name = "p", .value = three(), .grad = {}};
  int forwards = 0;
  Tape tape;
  const Var y = recomputed(tape.constant(three()), [&](Tape& on, const Var&) {
    return square(on.param(param), &forwards);
  });
  tape.backward(sum(y));
  EXPECT_EQ(forwards, 1);
  EXPECT_DOUBLE_EQ(param.grad.tensor.data<double>()[2], 5.0);
}

// A segment within another one too.
TEST(Recomputed, ParametersInsideAreDoneWithTheirSegment) {
  Param before{.name = "a", .value = three(), .grad = {}},
      inside{.name = "b", .value = three(), .grad = {}},
      innermost{.name = "c", .value = three(), .grad = {}},
      behind{.name = "d", .value = three(), .grad = {}};
  const auto plus = [](const Var& x, const Var& y) {
    Tensor z = Tensor::uninitialized({3}, DType::f64);
    for (int64_t i = 0; i < 3; ++i)
      z.data<double>()[i] = x.value().data<double>()[i] + y.value().data<double>()[i];
    return x.tape().record("plus", {x, y}, z, [x, y](const Tensor& dz) {
      if (x.needs_grad()) x.add_grad(dz);
      if (y.needs_grad()) y.add_grad(dz);
    });
  };
  const Segment inner = [&](Tape& on, const Var& x) { return plus(x, on.param(innermost)); };
  const Segment outer = [&](Tape& on, const Var& x) {
    const Var y = square(x);
    return recomputed(plus(y, on.param(inside)), inner);
  };
  Tape tape;
  const Var y = recomputed(tape.param(before), outer), z = plus(y, tape.param(behind));
  std::string done;
  tape.backward(sum(z), 1.0, [&](Param& param) {
    EXPECT_TRUE(param.grad.filled);
    done += param.name;
  });
  EXPECT_EQ(done, "dcba");
}

}  // namespace
}  // namespace halftone
