#include "halftone/tensor/gram.h"

#include <gtest/gtest.h>

#include "tensor/tensor_testing.h"

namespace halftone {
namespace {

// x^T x of rows whose sums F32 holds exactly: every order gives the same.
Tensor small_integers(int64_t n, int64_t m) {
  Tensor x = Tensor::uninitialized({n, m}, DType::f32);
  Rng rng(4, RngStream::test);
  for (int64_t i = 0; i < n * m; ++i) x.data<float>()[i] = static_cast<float>(rng.below(15)) - 7;
  return x;
}

TEST(Gram, TheUpperTriangleIsThePlainLoopsOverPanelsAndManyRows) {
  const int64_t n = 2055, m = 259;  // two products of rows, two panels of columns
  const Tensor x = small_integers(n, m);
  Tensor sum = Tensor::full({m, m}, DType::f64, 0.25);
  add_gram(x, sum);
  const float* xs = x.data<float>();
  for (const int64_t i : {0, 1, 100, 255, 256, 258})
    for (int64_t j = i; j < m; ++j) {
      double expected = 0.25;  // what was there before
      for (int64_t r = 0; r < n; ++r)
        expected += static_cast<double>(xs[r * m + i]) * xs[r * m + j];
      ASSERT_EQ(sum.data<double>()[i * m + j], expected) << i << " " << j;
    }
}

TEST(Gram, RowsMayComeInParts) {
  const Tensor x = small_integers(30, 7);
  Tensor whole = Tensor::zeros({7, 7}, DType::f64), parts = whole.clone();
  add_gram(x, whole);
  add_gram(x.rows(0, 11), parts);
  add_gram(x.rows(11, 30), parts);
  EXPECT_EQ(largest_difference(symmetric(parts, 1), symmetric(whole, 1)), 0);
}

TEST(Gram, TheLowerTriangleIsNotRead) {
  const Tensor upper = Tensor::of<double>({2, 2}, {1, 2, 77, 3});
  EXPECT_EQ(largest_difference(symmetric(upper, 0.5), Tensor::of<double>({2, 2}, {0.5, 1, 1, 1.5})),
            0);
}

TEST(Gram, ATriangleIsItsRowsFromTheDiagonalOn) {
  const Tensor square = Tensor::of<double>({3, 3}, {1, 2, 3, 77, 4, 5, 77, 77, 6});
  const Tensor triangle = upper_triangle(square);
  EXPECT_EQ(largest_difference(triangle, Tensor::of<double>({6}, {1, 2, 3, 4, 5, 6})), 0);
  EXPECT_EQ(
      largest_difference(symmetric(from_upper_triangle(triangle, 3), 1), symmetric(square, 1)), 0);
}

TEST(Gram, ShapesThatDoNotFitAreRefused) {
  Tensor sum = Tensor::zeros({3, 3}, DType::f64);
  EXPECT_THROW(add_gram(Tensor::zeros({5, 4}, DType::f32), sum), std::invalid_argument);
  EXPECT_THROW(symmetric(Tensor::zeros({2, 3}, DType::f64), 1), std::invalid_argument);
  EXPECT_THROW(upper_triangle(Tensor::zeros({2, 3}, DType::f64)), std::invalid_argument);
  EXPECT_THROW(from_upper_triangle(Tensor::zeros({5}, DType::f64), 3), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
