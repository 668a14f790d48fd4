#include "halftone/tensor/linalg.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tensor/tensor_testing.h"

namespace halftone {
namespace {

TEST(Linalg, TheInverseFactorIsTheCholeskyFactorOfTheInverse) {
  Rng rng(3, 1);
  for (const int64_t n : {1, 70, 300}) {  // 300: three blocks of columns
    Tensor b = Tensor::uninitialized({n, n + 9}, DType::f64), a = Tensor::zeros({n, n}, DType::f64);
    for (int64_t i = 0; i < b.numel(); ++i) b.data<double>()[i] = rng.normal();
    gemm(Transpose::no, Transpose::yes, b, b, 0, a);
    const Tensor expected = cholesky_upper(inverse_positive_definite(a)),
                 found = inverse_cholesky_upper(a);
    for (int64_t i = 0; i < n * n; ++i)
      EXPECT_NEAR(found.data<double>()[i], expected.data<double>()[i], 1e-9) << n;
    a.data<double>()[0] = -1;
    EXPECT_THROW(inverse_cholesky_upper(a), Error);
  }
}

TEST(Linalg, CholeskyAndInverseUndoTheirMatrix) {
  const Tensor x = random_matrix(40, 12, 3);
  const Tensor a = product(Transpose::yes, Transpose::no, x, x);
  const Tensor u = cholesky_upper(a);
  EXPECT_LT(largest_difference(product(Transpose::yes, Transpose::no, u, u), a), 1e-11);
  for (int64_t i = 0; i < 12; ++i) {
    EXPECT_GT(u.data<double>()[i * 12 + i], 0);
    for (int64_t j = 0; j < i; ++j) EXPECT_EQ(u.data<double>()[i * 12 + j], 0);
  }
  Tensor identity = Tensor::zeros({12, 12}, DType::f64);
  for (int64_t i = 0; i < 12; ++i) identity.data<double>()[i * 12 + i] = 1;
  EXPECT_LT(largest_difference(
                product(Transpose::no, Transpose::no, a, inverse_positive_definite(a)), identity),
            1e-11);
  EXPECT_THROW(cholesky_upper(Tensor::zeros({3, 3}, DType::f64)), Error);
}

TEST(Linalg, SingularValuesRebuildTheMatrix) {
  const Tensor a = random_matrix(9, 6, 4);
  SingularValues d = singular_value_decomposition(a);
  for (int64_t i = 0; i + 1 < 6; ++i) EXPECT_GE(d.s.data<double>()[i], d.s.data<double>()[i + 1]);
  for (int64_t i = 0; i < 9; ++i)
    for (int64_t j = 0; j < 6; ++j) d.u.data<double>()[i * 6 + j] *= d.s.data<double>()[j];
  EXPECT_LT(largest_difference(product(Transpose::no, Transpose::yes, d.u, d.v), a), 1e-13);
}

}  // namespace
}  // namespace halftone
