#include "halftone/tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

namespace halftone {
namespace {

TEST(Tensor, CopiesShareNumbersAndClonesDoNot) {
  Tensor a = Tensor::of<float>({2, 2}, {1, 2, 3, 4});
  const Tensor handle = a, copy = a.clone();
  a.data<float>()[0] = 9;
  EXPECT_EQ(handle.data<float>()[0], 9);
  EXPECT_EQ(copy.data<float>()[0], 1);
  EXPECT_EQ(a.rows(1, 2).data<float>()[0], 3);
  EXPECT_THROW(a.data<double>(), std::invalid_argument);
  EXPECT_THROW(a.rows(1, 3), std::invalid_argument);
  EXPECT_THROW(a.reshape({3}), std::invalid_argument);
  EXPECT_THROW(Tensor::of<float>({3}, {1, 2}), std::invalid_argument);
  EXPECT_THROW(numel({int64_t{1} << 40, int64_t{1} << 40}), std::invalid_argument);
}

TEST(Tensor, NumbersOfAMappedFileAreReadOnly) {
  const auto numbers = std::make_shared<std::vector<float>>(6, 1.5f);
  Tensor x = Tensor::view(numbers, numbers->data(), {2, 3}, DType::f32);
  EXPECT_THROW(x.data<float>(), std::invalid_argument);
  EXPECT_THROW(x.raw(), std::invalid_argument);
  EXPECT_THROW(x.fill(0), std::invalid_argument);
  EXPECT_THROW(x.rows(0, 1).fill(0), std::invalid_argument);
  EXPECT_EQ(std::as_const(x).data<float>()[5], 1.5f);
  Tensor copy = x.clone(), result = x.reused();
  copy.fill(2);
  result.fill(3);
  EXPECT_EQ((*numbers)[0], 1.5f);
}

TEST(Tensor, DoesNotReachBeyondItsStorage) {
  const auto numbers = std::make_shared<std::vector<float>>(6, 1.5f);
  const Storage storage{.owner = numbers, .pointer = numbers->data(), .bytes = 24};
  EXPECT_EQ(Tensor::of(storage, {2, 3}, DType::f32).numel(), 6);
  EXPECT_THROW(Tensor::of(storage, {7}, DType::f32), std::invalid_argument);
}

TEST(Tensor, OfAnotherDeviceIsNotReadHere) {
  const auto numbers = std::make_shared<std::vector<float>>(6, 1.5f);
  const Tensor x = Tensor::of(
      {.owner = numbers, .pointer = numbers->data(), .bytes = 24, .device = Device::cuda}, {6},
      DType::f32);
  EXPECT_THROW(x.data<float>(), std::invalid_argument);
}

TEST(Tensor, RowsThatLieOneBehindTheOtherAreOneTensor) {
  const Tensor all = Tensor::of<float>({4, 2}, {0, 1, 2, 3, 4, 5, 6, 7}), first = all.rows(0, 1),
               next = all.rows(1, 3);
  const Tensor both = first.with_next_rows(next);
  ASSERT_TRUE(both.defined());
  EXPECT_EQ(both.shape(), (Shape{3, 2}));
  EXPECT_EQ(both.numel(), 6);
  EXPECT_EQ(both.raw(), all.raw());
  EXPECT_FALSE(next.with_next_rows(first).defined());            // before it
  EXPECT_FALSE(first.with_next_rows(all.rows(2, 3)).defined());  // a row between them
  EXPECT_FALSE(first.with_next_rows(next.clone()).defined());    // in another storage
  EXPECT_FALSE(first.with_next_rows(next.reshape({4})).defined());
  EXPECT_FALSE(Tensor().with_next_rows(first).defined());
}

TEST(Tensor, ConvertsAmongFloatingDtypes) {
  const Tensor a = Tensor::of<float>({3}, {1.0f, -0.333333f, 70000.0f});
  EXPECT_EQ(a.to(DType::f64).data<double>()[1], static_cast<double>(-0.333333f));
  EXPECT_TRUE(std::isinf(a.to(DType::f16).to(DType::f32).data<float>()[2]));
  EXPECT_NEAR(a.to(DType::bf16).to(DType::f32).data<float>()[1], -0.333333, 2e-3);
}

}  // namespace
}  // namespace halftone
