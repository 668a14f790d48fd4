#include "halftone/train/adamw.h"

#include <gtest/gtest.h>

#include <cmath>

#include "halftone/base/rng.h"

namespace halftone {
namespace {

TEST(AdamW, FollowsTheFormulasWrittenOut) {
  const int64_t n = 1000;
  Param param{.name = "w",
              .value = Tensor::uninitialized({n}, DType::f32),
              .grad = {},
              .role = ParamRole::latent};
  param.grad.tensor = Tensor::uninitialized({n}, DType::f32);
  std::vector<Moments> moments{{Tensor::zeros({n}, DType::f32), Tensor::zeros({n}, DType::f32)}};
  std::vector<double> w(n), m(n), v(n);
  Rng rng(1, RngStream::test);
  for (int64_t i = 0; i < n; ++i)
    param.value.data<float>()[i] =
        static_cast<float>(w[i] = static_cast<float>(0.01 * rng.normal()));
  const double lr = 0.01, scale = 0.5;
  const AdamWSettings s;
  for (int step = 1; step <= 5; ++step) {
    int64_t expected_flips = 0;
    for (int64_t i = 0; i < n; ++i) {
      const float grad = static_cast<float>(rng.normal());
      param.grad.tensor.data<float>()[i] = grad;
      const double g = scale * grad, before = w[i];
      m[i] = s.beta1 * m[i] + (1 - s.beta1) * g;
      v[i] = s.beta2 * v[i] + (1 - s.beta2) * g * g;
      w[i] = (1 - lr * s.weight_decay) * w[i] -
             lr * (m[i] / (1 - std::pow(s.beta1, step))) /
                 (std::sqrt(v[i] / (1 - std::pow(s.beta2, step))) + s.epsilon);
      expected_flips += (before >= 0) != (w[i] >= 0);
    }
    param.grad.filled = true;
    Tensor flips = Tensor::zeros({}, DType::f64);
    adamw_step({&param}, moments, step, lr, scale, s, flips);
    EXPECT_NEAR(flips.item(), static_cast<double>(expected_flips), 1);
  }
  for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(param.value.data<float>()[i], w[i], 2e-6);
}

TEST(AdamW, NormGainsDoNotDecay) {
  Param gain{.name = "norm",
             .value = Tensor::full({1}, DType::f32, 1),
             .grad = {},
             .role = ParamRole::norm};
  std::vector<Moments> moments{{Tensor::zeros({1}, DType::f32), Tensor::zeros({1}, DType::f32)}};
  Tensor flips = Tensor::zeros({}, DType::f64);
  adamw_step({&gain}, moments, 1, 0.1, 1, {.weight_decay = 0.5}, flips);
  EXPECT_EQ(gain.value.item(), 1);
  gain.role = ParamRole::weight;
  adamw_step({&gain}, moments, 2, 0.1, 1, {.weight_decay = 0.5}, flips);
  EXPECT_NEAR(gain.value.item(), 0.95, 1e-6);
}

TEST(AdamW, RatesAreTheirRoles) {
  const AdamWSettings settings{.weight_decay = 0, .embedding_lr_mult = 0.25, .vector_lr_mult = 0};
  const auto moved = [&](ParamRole role) {
    Param param{.name = "w",
                .value = Tensor::full({1}, DType::f32, 1),
                .grad = {Tensor::full({1}, DType::f32, 3), true},
                .role = role};
    std::vector<Moments> moments{{Tensor::zeros({1}, DType::f32), Tensor::zeros({1}, DType::f32)}};
    Tensor flips = Tensor::zeros({}, DType::f64);
    adamw_step({&param}, moments, 1, 0.5, 1, settings, flips);
    return 1 - param.value.item();
  };
  for (const ParamRole role : {ParamRole::weight, ParamRole::latent})
    EXPECT_NEAR(moved(role), 0.5, 1e-6);
  EXPECT_NEAR(moved(ParamRole::embedding), 0.125, 1e-6);
  for (const ParamRole role : {ParamRole::scale, ParamRole::norm, ParamRole::bias})
    EXPECT_EQ(moved(role), 0);
}

TEST(ClipFactor, BringsANormDownToTheMost) {
  EXPECT_EQ(clip_factor(0.5, 1), 1);
  EXPECT_NEAR(clip_factor(4, 2), 0.5, 1e-6);
  EXPECT_EQ(clip_factor(4, 0), 1);
}

TEST(GradientNorm, SeesANan) {
  Param param{.name = "w",
              .value = Tensor::zeros({3}, DType::f32),
              .grad = {Tensor::full({3}, DType::f32, 2), true}};
  EXPECT_EQ(squared_gradient_norm({&param}), 12);
  param.grad.tensor.data<float>()[1] = std::nanf("");
  EXPECT_TRUE(std::isnan(squared_gradient_norm({&param})));
}

}  // namespace
}  // namespace halftone
