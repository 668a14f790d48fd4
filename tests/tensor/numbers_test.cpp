#include "halftone/tensor/numbers.h"

#include <gtest/gtest.h>

#include <limits>

namespace halftone {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Numbers, ThatAreNotFiniteAreCounted) {
  const Tensor x = Tensor::of<float>({2, 2}, {1, kInfinity, std::nanf(""), -65504});
  EXPECT_EQ(count_non_finite(x), 2);
  EXPECT_EQ(count_non_finite(x.to(DType::f16)), 2);
  EXPECT_THROW(count_non_finite(x.to(DType::bf16)), std::invalid_argument);
}

TEST(Numbers, ThatARoundingChangesAreCounted) {
  const Tensor x = Tensor::of<float>({4}, {1, 0.1f, -0.0f, 1e-9f});
  EXPECT_EQ(count_changed(x, x.to(DType::f16)), 2);
  EXPECT_EQ(count_changed(x, x.clone()), 0);
  EXPECT_EQ(count_changed(x, Tensor::of<float>({4}, {1, 0.1f, 0.0f, 1e-9f})), 1);
  EXPECT_THROW(count_changed(x, x.reshape({2, 2})), std::invalid_argument);
}

TEST(Numbers, BeyondF16KeepTheirTensorWide) {
  EXPECT_EQ(to_f16_where_it_fits(Tensor::of<float>({1}, {0.1f})).dtype(), DType::f16);
  const Tensor kept = to_f16_where_it_fits(Tensor::of<float>({2}, {0.1f, 70000}));
  EXPECT_EQ(kept.dtype(), DType::f32);
  EXPECT_EQ(kept.data<float>()[1], 70000.0f);
  EXPECT_EQ(to_f16_where_it_fits(Tensor::of<float>({1}, {kInfinity})).dtype(), DType::f16);
}

}  // namespace
}  // namespace halftone
