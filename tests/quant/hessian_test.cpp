#include "halftone/quant/hessian.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "halftone/base/error.h"
#include "quant_testing.h"

namespace halftone {
namespace {

TEST(Hessian, TheSumIsTheFormula) {
  const int64_t rows = 6, m = 5;
  const auto z = testing::random_numbers(rows * m, 14);
  Tensor x = Tensor::uninitialized({rows, m}, DType::f32);
  for (int64_t i = 0; i < rows * m; ++i) x.data<float>()[i] = static_cast<float>(z[i]);
  HessianSum at_once(m), apart(m);
  at_once.add(x, 3);
  for (int64_t s = 0; s < 3; ++s) apart.add(x.rows(2 * s, 2 * s + 2), 1);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j) {
      double expected = 0;
      for (int64_t r = 0; r < rows; ++r) expected += 2.0 / 3 * z[r * m + i] * z[r * m + j];
      EXPECT_NEAR(at_once.hessian().data<double>()[i * m + j], expected, 1e-5);
      EXPECT_NEAR(apart.hessian().data<double>()[i * m + j], expected, 1e-5);
    }
}

TEST(Hessian, ItsPanelsMakeASymmetricMatrixAndTheSameEnergy) {
  const int64_t rows = 2100, m = 300, n = 3;  // two products of tokens, two panels of columns
  Tensor x = Tensor::uninitialized({rows, m}, DType::f32);
  const auto z = testing::random_numbers(rows * m, 15);
  for (int64_t k = 0; k < rows * m; ++k) x.data<float>()[k] = static_cast<float>(z[k]);
  HessianSum sum(m);
  sum.add(x, 2);
  const Tensor hessian = sum.hessian();
  const double* h = hessian.data<double>();
  for (const auto& [i, j] : {std::pair{0, 0}, {0, 299}, {255, 256}, {280, 290}, {299, 299}}) {
    double expected = 0;
    for (int64_t r = 0; r < rows; ++r)
      expected += static_cast<double>(x.data<float>()[r * m + i]) * x.data<float>()[r * m + j];
    EXPECT_NEAR(h[i * m + j], expected, 1e-3) << i << " " << j;
    EXPECT_EQ(h[i * m + j], h[j * m + i]);
  }
  Tensor d = Tensor::uninitialized({n, m}, DType::f64);
  std::copy_n(z.begin(), n * m, d.data<double>());
  double expected = 0;
  for (int64_t r = 0; r < n; ++r)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < m; ++j) expected += z[r * m + i] * h[i * m + j] * z[r * m + j];
  EXPECT_NEAR(hessian_energy(d, hessian) / expected, 1, 1e-12);
}

TEST(Hessian, OneThatIsNotPositiveDefiniteIsAnErrorOfItsKind) {
  Tensor h = Tensor::zeros({3, 3}, DType::f64);
  h.data<double>()[0] = 1;
  h.data<double>()[4] = -5;
  h.data<double>()[8] = 1;
  EXPECT_THROW(prepare_hessian(h, 0.01), Error);
}

}  // namespace
}  // namespace halftone
