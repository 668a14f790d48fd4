// Shared by the op tests: random tensors and the gradient check's assertion.
#pragma once

#include <gtest/gtest.h>

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

}  // namespace halftone
