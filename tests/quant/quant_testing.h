// Problems and plain loops that the tests of quantisers share.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "halftone/base/rng.h"
#include "halftone/quant/hessian.h"
#include "halftone/tensor/gemm.h"
#include "halftone/tensor/tensor.h"

namespace halftone::testing {

inline std::vector<double> random_numbers(int64_t n, uint64_t stream, int heavy = 0) {
  Rng rng(17, stream);
  std::vector<double> out(static_cast<size_t>(n));
  for (double& x : out) {
    x = rng.normal();
    if (heavy)  // Student's t with 3 degrees of freedom
      x /= std::sqrt(
          (std::pow(rng.normal(), 2) + std::pow(rng.normal(), 2) + std::pow(rng.normal(), 2)) / 3);
  }
  return out;
}

inline Tensor random_weight(int64_t n, int64_t m, uint64_t stream) {
  const auto x = random_numbers(n * m, stream, 1);
  Tensor out = Tensor::uninitialized({n, m}, DType::f32);
  for (int64_t i = 0; i < n * m; ++i) out.data<float>()[i] = static_cast<float>(0.02 * x[i]);
  return out;
}

// The Hessian of correlated inputs: neighbouring columns share most of their variance.
inline Tensor random_hessian(int64_t m, uint64_t stream, int64_t rows = 0) {
  if (rows == 0) rows = 3 * m;
  const auto z = random_numbers(rows * m, stream);
  Tensor x = Tensor::uninitialized({rows, m}, DType::f32);
  for (int64_t i = 0; i < rows; ++i) {
    double last = 0;
    for (int64_t j = 0; j < m; ++j) {
      last = 0.8 * last + 0.6 * z[i * m + j];
      x.data<float>()[i * m + j] = static_cast<float>(last * (1 + 0.5 * std::sin(j)));
    }
  }
  HessianSum sum(m);
  sum.add(x, 1);
  return sum.hessian();
}

}  // namespace halftone::testing
