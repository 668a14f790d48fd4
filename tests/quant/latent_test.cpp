#include "halftone/quant/latent.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "quant_testing.h"

namespace halftone {
namespace {

TEST(Latent, MagnitudesKeepTheirProportionsAndHaveTheMeanAskedFor) {
  const Tensor w = testing::random_weight(70, 300, 1);  // several blocks of numbers
  const Tensor latent = magnitude_latent(w, 0.02);
  double sum = 0;
  const double ratio = static_cast<double>(latent.data<float>()[0]) / w.data<float>()[0];
  for (int64_t i = 0; i < w.numel(); ++i) {
    sum += std::abs(static_cast<double>(latent.data<float>()[i]));
    EXPECT_NEAR(latent.data<float>()[i], ratio * w.data<float>()[i],
                1e-6 * std::abs(latent.data<float>()[i]));
  }
  EXPECT_GT(ratio, 0);
  EXPECT_NEAR(sum / static_cast<double>(w.numel()), 0.02, 1e-8);
}

TEST(Latent, OfZerosAreZeros) {
  const Tensor latent = magnitude_latent(Tensor::zeros({2, 3}, DType::f32), 0.02);
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(latent.data<float>()[i], 0);
}

TEST(Latent, SignsAreOfOneMagnitudeAndThatOfZeroIsPlus) {
  const Tensor latent = sign_latent(Tensor::of<float>({5}, {-3, 0.0f, -0.0f, 1e-9f, -1e-9f}), 0.01);
  const float expected[] = {-0.01f, 0.01f, 0.01f, 0.01f, -0.01f};
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(latent.data<float>()[i], expected[i]) << i;
}

TEST(Latent, MagnitudesTakeOtherSignsAndNoNumberBelowZeroIsZero) {
  const Tensor latent = with_signs(Tensor::of<float>({5}, {-3, 2, 0, 0.5f, 0}),
                                   Tensor::of<float>({5}, {1, -1, 1, 0, -1}));
  const float expected[] = {3, -2, 0, 0.5f, -std::numeric_limits<float>::min()};
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(latent.data<float>()[i], expected[i]) << i;
}

}  // namespace
}  // namespace halftone
