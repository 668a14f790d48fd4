// Shared by the op tests: random tensors and the assertions on gradients.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "halftone/autograd/grad_check.h"
#include "halftone/base/rng.h"
#include "halftone/ops/elementwise.h"

namespace halftone {

inline Tensor random_tensor(Shape shape, uint64_t seed, double scale = 1.0,
                            DType dtype = DType::f64) {
  Tensor out = Tensor::uninitialized(std::move(shape), DType::f64);
  Rng rng(seed, RngStream::test);
  for (int64_t i = 0; i < out.numel(); ++i) out.data<double>()[i] = scale * rng.normal();
  return out.to(dtype);
}

inline double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  const Tensor x = a.to(DType::f64), y = b.to(DType::f64);
  double worst = 0;
  for (int64_t i = 0; i < x.numel(); ++i)
    worst = std::max(worst, std::abs(x.data<double>()[i] - y.data<double>()[i]));
  return worst;
}

// A loss of any output: its weighted sum with fixed random weights.
inline Var random_sum(const Var& y, uint64_t seed = 99) {
  return weighted_sum(y, random_tensor(y.shape(), seed, 1.0, y.dtype()));
}

inline void expect_gradients(const LossFunction& loss, const std::vector<Tensor>& inputs,
                             double tolerance = 1e-6, const LossFunction& surrogate = nullptr) {
  const GradCheckResult result = grad_check(loss, inputs, {}, surrogate);
  EXPECT_LE(result.worst, tolerance) << result.where;
}

// Backward may put its result in the place of the output's gradient: not where that is the gradient
// of another variable too, as of the second term of a sum. `op` keeps the shape 4 x 4.
inline void expect_gradient_of_another_kept(const std::function<Var(Tape&, const Var&)>& op) {
  Tape tape;
  const Var x = tape.variable(random_tensor({4, 4}, 1)),
            other = tape.variable(random_tensor({4, 4}, 2));
  tape.backward(random_sum(add(op(tape, x), other)));
  EXPECT_EQ(largest_difference(other.grad().tensor, random_tensor({4, 4}, 99)), 0);
}

}  // namespace halftone
