// Random tensors and products for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "halftone/base/rng.h"
#include "halftone/tensor/gemm.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

inline Tensor random_floats(const Shape& shape, uint64_t stream) {
  Tensor out = Tensor::uninitialized(shape, DType::f32);
  Rng rng(5, stream);
  for (int64_t i = 0; i < out.numel(); ++i) out.data<float>()[i] = static_cast<float>(rng.normal());
  return out;
}

inline Tensor random_matrix(int64_t n, int64_t m, uint64_t seed) {
  Tensor out = Tensor::uninitialized({n, m}, DType::f64);
  Rng rng(seed, RngStream::test);
  for (int64_t i = 0; i < n * m; ++i) out.data<double>()[i] = rng.normal();
  return out;
}

inline Tensor product(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b) {
  Tensor c = Tensor::uninitialized(
      {a.dim(ta == Transpose::no ? 0 : 1), b.dim(tb == Transpose::no ? 1 : 0)}, a.dtype());
  gemm(ta, tb, a, b, 0, c);
  return c;
}

inline double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double worst = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    worst = std::max(worst, std::abs(a.data<double>()[i] - b.data<double>()[i]));
  return worst;
}

}  // namespace halftone
