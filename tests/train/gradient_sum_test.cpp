// One rank; several are in tests/ranks.
#include "halftone/train/gradient_sum.h"

#include <gtest/gtest.h>

#include <cmath>

namespace halftone {
namespace {

class GradientSumTest : public ::testing::Test {
 protected:
  GradientSumTest()
      : a_{.name = "a", .value = Tensor::zeros({2}, DType::f32), .grad = {}},
        b_{.name = "b", .value = Tensor::zeros({1, 2}, DType::f32), .grad = {}},
        sum_({&a_, &b_}, {}) {}

  static void give(Param& param, float x, float y) {
    param.grad = {Tensor::of<float>(param.value.shape(), {x, y}), true};
  }
  std::vector<float> sum_of(size_t shard) {
    const Tensor& gradient = sum_.shards()[shard].part.grad.tensor;
    return {gradient.data<float>(), gradient.data<float>() + gradient.numel()};
  }

  Param a_, b_;
  GradientSum sum_;
};

// (1 + 2^-24) + 2^-24 is 1 in F32, 1 + (2^-24 + 2^-24) is more.
TEST_F(GradientSumTest, EachMicroBatchIsAddedWholeInItsOrder) {
  const float tiny = std::ldexp(1.0f, -24);
  for (const float x : {1.0f, tiny, tiny}) {
    give(a_, x, 1);
    give(b_, x, x);
    sum_.add(b_);  // its gradient is done first
    EXPECT_FALSE(b_.grad.filled);
    sum_.end_batch();
    EXPECT_FALSE(a_.grad.filled);
  }
  sum_.finish();
  EXPECT_EQ(sum_of(0), (std::vector<float>{1, 3}));
  EXPECT_EQ(sum_of(1), (std::vector<float>{1, 1}));
  EXPECT_EQ(sum_.norm(), std::sqrt(1.0 + 9 + 1 + 1));
  sum_.clear();
  EXPECT_FALSE(sum_.shards()[0].part.grad.filled);
}

TEST_F(GradientSumTest, AGradientThatTwoShareIsNotChangedForTheOther) {
  give(a_, 1, 2);
  const Tensor other = a_.grad.tensor;
  sum_.end_batch();
  give(a_, 10, 20);
  sum_.end_batch();
  EXPECT_EQ(sum_of(0), (std::vector<float>{11, 22}));
  EXPECT_EQ(other.data<float>()[0], 1);
}

TEST_F(GradientSumTest, ShardsOfOneRankAreTheParametersThemselves) {
  ASSERT_EQ(sum_.shards().size(), 2u);
  const Shard& shard = sum_.shards()[1];
  EXPECT_EQ(shard.part.name, "b");
  EXPECT_EQ(shard.part.value.raw(), std::as_const(b_.value).raw());
  const Tensor whole = Tensor::of<float>({1, 2}, {5, 6});
  EXPECT_EQ(shard.of_whole(whole).data<float>(), whole.data<float>());
  EXPECT_EQ(shard.of_whole(whole).shape(), (Shape{1, 2}));
  EXPECT_EQ(sum_.whole({a_.value, whole}).at("b").data<float>()[1], 6);
  EXPECT_THROW(sum_.whole({}), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
