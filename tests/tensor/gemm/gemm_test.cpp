#include "halftone/tensor/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tensor/tensor_testing.h"

namespace halftone {
namespace {

TEST(Gemm, EqualsThePlainLoopForEveryTransposition) {
  const int64_t m = 7, n = 5, k = 9;
  for (Transpose ta : {Transpose::no, Transpose::yes})
    for (Transpose tb : {Transpose::no, Transpose::yes}) {
      const Tensor a = ta == Transpose::no ? random_matrix(m, k, 1) : random_matrix(k, m, 1);
      const Tensor b = tb == Transpose::no ? random_matrix(k, n, 2) : random_matrix(n, k, 2);
      const Tensor c = product(ta, tb, a, b);
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (int64_t p = 0; p < k; ++p)
            sum += a.data<double>()[ta == Transpose::no ? i * k + p : p * m + i] *
                   b.data<double>()[tb == Transpose::no ? p * n + j : j * k + p];
          EXPECT_NEAR(c.data<double>()[i * n + j], sum, 1e-13);
        }
    }
}

// The BLAS may have picked kernels for the CPU: they must be right at awkward sizes too.
TEST(Gemm, FloatAgreesWithDoubleAtManySizes) {
  for (int64_t m : {1, 3, 16, 33})
    for (int64_t n : {1, 17, 64, 129})
      for (int64_t k : {1, 5, 96, 257}) {
        const Tensor a = random_matrix(m, k, 1), b = random_matrix(n, k, 2);
        const Tensor wide = product(Transpose::no, Transpose::yes, a, b);
        const Tensor narrow =
            product(Transpose::no, Transpose::yes, a.to(DType::f32), b.to(DType::f32));
        EXPECT_LT(largest_difference(wide, narrow.to(DType::f64)), 1e-5 * static_cast<double>(k))
            << m << " " << n << " " << k;
      }
}

TEST(Gemm, AddsToWhatIsThereTimesBeta) {
  const Tensor a = Tensor::of<double>({1, 2}, {1, 2}), b = Tensor::of<double>({2, 1}, {10, 100});
  Tensor c = Tensor::of<double>({1, 1}, {7});
  gemm(Transpose::no, Transpose::no, a, b, 2, c);
  EXPECT_EQ(c.item(), 224);
}

TEST(Gemm, ShapesAndDtypesThatDoNotFitAreRefused) {
  const Tensor a = random_matrix(3, 4, 1), b = random_matrix(4, 2, 2);
  Tensor c = Tensor::zeros({3, 2}, DType::f64), turned = Tensor::zeros({2, 3}, DType::f64);
  gemm(Transpose::no, Transpose::no, a, b, 0, c);
  EXPECT_THROW(gemm(Transpose::no, Transpose::yes, a, b, 0, c), std::invalid_argument);
  EXPECT_THROW(gemm(Transpose::no, Transpose::no, a, b, 0, turned), std::invalid_argument);
  EXPECT_THROW(gemm(Transpose::no, Transpose::no, a, b.to(DType::f32), 0, c),
               std::invalid_argument);
}

// Decoding multiplies a row or a few of A by matrices in every form that they are stored in.
TEST(Gemm, MatricesInF16AndQ8AreMultipliedAsTheNumbersThatTheyStandFor) {
  for (const DType dtype : {DType::f16, DType::q8_0})
    for (int64_t m : {1, 2, 3, 5, 40})
      for (int64_t k : {32, 96, 576}) {
        const int64_t n = 67;
        const Tensor a = random_matrix(m, k, 1).to(DType::f32),
                     b = random_matrix(n, k, 2).to(DType::f32).to(dtype);
        const Tensor wide = product(Transpose::no, Transpose::yes, a.to(DType::f64),
                                    b.to(DType::f32).to(DType::f64));
        Tensor c = Tensor::full({m, n}, DType::f32, 1);
        gemm(Transpose::no, Transpose::yes, a, b, 0, c);
        EXPECT_LT(largest_difference(wide, c.to(DType::f64)), 1e-6 * static_cast<double>(k))
            << dtype_name(dtype) << " " << m << " " << k;
      }
}

TEST(Gemm, RowsOfEveryKindAreReadAsFloats) {
  const Tensor x = random_floats({2, 5}, 3), half = x.to(DType::f16);
  std::vector<float> row(3);
  read_row(Factor::plain(x.data<float>(), 5), 1, 3, row.data());
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(row[i], x.data<float>()[5 + i]);
  read_row(Factor::half(half.data<half_t>(), 5), 1, 3, row.data());
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(row[i], to_float(half.data<half_t>()[5 + i]));
}

}  // namespace
}  // namespace halftone
