#include "halftone/tensor/arithmetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tensor/tensor_testing.h"

namespace halftone {
namespace {

constexpr int64_t kSeveralBlocks = (1 << 14) + 77;

TEST(Arithmetic, SumsAndMultiplesAreThoseOfEachNumber) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor a = random_floats({kSeveralBlocks}, 1).to(dtype),
                 b = random_floats({kSeveralBlocks}, 2).to(dtype);
    Tensor sum = a.like(), multiple = a.like();
    add(a, b, sum);
    scale(a, -0.375, multiple);  // a short binary fraction: exact in both dtypes but for rounding
    with_real(dtype, "the test", [&]<class T>() {
      for (int64_t i = 0; i < kSeveralBlocks; ++i) {
        ASSERT_EQ(sum.data<T>()[i], std::as_const(a).data<T>()[i] + b.data<T>()[i]) << i;
        ASSERT_EQ(multiple.data<T>()[i], T(-0.375) * a.data<T>()[i]) << i;
      }
    });
  }
}

TEST(Arithmetic, TheResultMayTakeThePlaceOfAnOperand) {
  Tensor x = Tensor::of<float>({3}, {1, 2, 3});
  add(x, x, x);
  scale(x, 10, x);
  EXPECT_EQ(largest_difference(x.to(DType::f64), Tensor::of<double>({3}, {20, 40, 60})), 0);
}

TEST(Arithmetic, ShapesAndDtypesThatDifferAreRefused) {
  const Tensor x = Tensor::zeros({2, 3}, DType::f32);
  Tensor flat = Tensor::zeros({6}, DType::f32), wide = Tensor::zeros({2, 3}, DType::f64),
         whole = Tensor::zeros({2, 3}, DType::i32);
  EXPECT_THROW(add(x, x, flat), std::invalid_argument);
  EXPECT_THROW(add(x, wide, wide), std::invalid_argument);
  EXPECT_THROW(scale(x, 2, wide), std::invalid_argument);
  EXPECT_THROW(scale(whole, 2, whole), std::invalid_argument);
}

TEST(Arithmetic, RowsAreScaledByTheirFactors) {
  Tensor x = Tensor::of<float>({2, 2}, {1, 2, 3, 4}), v = Tensor::of<float>({2}, {5, 6});
  const Tensor factors = Tensor::of<float>({2}, {10, -1});
  scale_rows(factors, x);
  scale_rows(factors, v);
  EXPECT_EQ(std::vector<float>(x.data<float>(), x.data<float>() + 4),
            (std::vector<float>{10, 20, -3, -4}));
  EXPECT_EQ(v.data<float>()[0], 50);
  EXPECT_THROW(scale_rows(Tensor::of<float>({1}, {1}), x), std::invalid_argument);
}

TEST(Arithmetic, AShiftLeavesTheTensorAloneAndIsInF32) {
  const Tensor x = Tensor::of<float>({2}, {1, -2});
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const Tensor y = shifted(x.to(dtype), 1);
    ASSERT_EQ(y.dtype(), DType::f32);
    EXPECT_EQ(y.data<float>()[0], 2);
    EXPECT_EQ(y.data<float>()[1], -1);
  }
  EXPECT_EQ(x.data<float>()[0], 1);
}

TEST(Arithmetic, RandomNumbersFollowTheCounterInOrder) {
  Tensor x = Tensor::zeros({2, 3}, DType::f32);
  Rng rng(3, RngStream::test), same(3, RngStream::test);
  fill_normal(x, 0.5, rng);
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_EQ(x.data<float>()[i], static_cast<float>(0.5 * same.normal())) << i;
  EXPECT_EQ(rng.counter(), same.counter());
}

}  // namespace
}  // namespace halftone
