#include "halftone/ops/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

constexpr int64_t kSeveralBlocks = (1 << 14) + 5;

TEST(AdamWUpdate, IsItsFormulaForEveryNumberAndCountsTheSignsThatChange) {
  const AdamWCoefficients c{
      .gradient = 0.5, .beta1 = 0.9, .beta2 = 0.75, .v_scale = 4, .epsilon = 1e-8};
  const Shape shape{kSeveralBlocks};
  const Tensor grad = random_tensor(shape, 1, 1.0, DType::f32);
  Tensor w = random_tensor(shape, 2, 0.01, DType::f32),
         m = random_tensor(shape, 3, 1.0, DType::f32), v = Tensor::full(shape, DType::f32, 0.25),
         flips = Tensor::scalar(1000, DType::f64);
  const Tensor w0 = w.clone(), m0 = m.clone();
  const std::vector<AdamWNumbers> all{{&grad, &w, &m, &v, 0.999, 0.01, true}};
  adamw_update(all, c, flips);
  double expected_flips = 1000;
  for (int64_t i = 0; i < kSeveralBlocks; ++i) {
    const double g = 0.5 * grad.data<float>()[i];
    const double mi = 0.9 * m0.data<float>()[i] + 0.1 * g, vi = 0.75 * 0.25 + 0.25 * g * g;
    const double wi = 0.999 * w0.data<float>()[i] - 0.01 * mi / (std::sqrt(4 * vi) + 1e-8);
    ASSERT_NEAR(m.data<float>()[i], mi, 1e-6) << i;
    ASSERT_NEAR(v.data<float>()[i], vi, 1e-6) << i;
    ASSERT_NEAR(w.data<float>()[i], wi, 1e-6) << i;
    expected_flips += (w0.data<float>()[i] >= 0) != (w.data<float>()[i] >= 0);
  }
  EXPECT_GT(expected_flips, 2000);
  EXPECT_EQ(flips.item(), expected_flips);
}

TEST(AdamWUpdate, KeepsMovesAndCountsByParameter) {
  const Tensor grad = Tensor::full({1}, DType::f32, 1);
  Tensor w = Tensor::full({1}, DType::f32, 0.5), w2 = w.clone(), m = Tensor::zeros({1}, DType::f32),
         m2 = m.clone(), v = m.clone(), v2 = m.clone(), flips = Tensor::scalar(0, DType::f64);
  adamw_update({{&grad, &w, &m, &v, 1, 1, true}, {&grad, &w2, &m2, &v2, 0.5, 2, false}},
               {.gradient = 1, .beta1 = 0, .beta2 = 0, .v_scale = 1, .epsilon = 0}, flips);
  EXPECT_EQ(w.item(), -0.5);
  EXPECT_EQ(w2.item(), -1.75);
  EXPECT_EQ(flips.item(), 1);
}

TEST(AdamUpdate, IsItsFormulaInDouble) {
  Tensor w = Tensor::of<float>({2}, {1, -2}), m = Tensor::zeros({2}, DType::f64), v = m.clone();
  std::vector<double> expected{1, -2}, ms{0, 0}, vs{0, 0};
  for (int t = 1; t <= 4; ++t) {
    const Tensor grad = Tensor::of<float>({2}, {0.3f * static_cast<float>(t), -1.5f});
    adam_update(grad, t, 0.1, w, m, v);
    for (size_t i = 0; i < 2; ++i) {
      const double g = grad.data<float>()[i];
      ms[i] = 0.9 * ms[i] + 0.1 * g;
      vs[i] = 0.999 * vs[i] + 0.001 * g * g;
      expected[i] -= 0.1 * (ms[i] / (1 - std::pow(0.9, t))) /
                     (std::sqrt(vs[i] / (1 - std::pow(0.999, t))) + 1e-8);
    }
  }
  for (int64_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(w.data<float>()[i], expected[static_cast<size_t>(i)], 1e-6);
    EXPECT_DOUBLE_EQ(m.data<double>()[i], ms[static_cast<size_t>(i)]);
  }
}

TEST(SumOfSquares, AddsThoseOfEveryNumberAndSeesANan) {
  Tensor x = Tensor::full({kSeveralBlocks}, DType::f32, 2), y = Tensor::full({1}, DType::f32, 1);
  EXPECT_EQ(sum_of_squares({x, y}), 1 + 4.0 * kSeveralBlocks);
  x.data<float>()[kSeveralBlocks - 1] = std::nanf("");
  EXPECT_TRUE(std::isnan(sum_of_squares({x, y})));
}

TEST(SumOfSquares, ByBlocksAPartIsAsInTheWhole) {
  Rng rng(3, RngStream::test);
  Tensor x = Tensor::uninitialized({2 * kUpdateBlock + 77}, DType::f32);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = static_cast<float>(rng.normal());
  const std::vector<double> both = block_sums_of_squares({x, x.rows(kUpdateBlock, x.numel())});
  ASSERT_EQ(both.size(), 5u);
  const std::vector<double> whole(both.begin(), both.begin() + 3),
      part(both.begin() + 3, both.end());
  EXPECT_EQ(part, std::vector<double>(whole.begin() + 1, whole.end()));
  EXPECT_EQ(sum_of_squares({x}), whole[0] + whole[1] + whole[2]);
}

TEST(AdamWUpdate, NumbersThatDoNotFitAreRefused) {
  Tensor w = Tensor::zeros({3}, DType::f32), m = w.clone(), v = w.clone(),
         flips = Tensor::scalar(0, DType::f64);
  const Tensor grad = Tensor::zeros({2}, DType::f32);
  EXPECT_THROW(adamw_update({{&grad, &w, &m, &v, 1, 1, false}}, {}, flips), std::invalid_argument);
  EXPECT_THROW(adam_update(Tensor::zeros({2}, DType::f32), 1, 0.1, w, m, v), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
