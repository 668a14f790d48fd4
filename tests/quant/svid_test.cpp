#include "halftone/quant/svid.h"

#include <gtest/gtest.h>

#include <cmath>

#include "halftone/base/rng.h"
#include "halftone/tensor/linalg.h"
#include "halftone/tensor/tensor.h"

namespace halftone {
namespace {

Tensor random_matrix(int64_t n, int64_t m, uint64_t seed) {
  Tensor w = Tensor::uninitialized({n, m}, DType::f32);
  Rng rng(seed, RngStream::test);
  for (int64_t i = 0; i < n * m; ++i) w.data<float>()[i] = static_cast<float>(rng.normal());
  return w;
}

double squared_error(const Tensor& w, const Svid& s) {
  double sum = 0;
  for (int64_t i = 0; i < w.dim(0); ++i)
    for (int64_t j = 0; j < w.dim(1); ++j) {
      const double d =
          std::abs(w.data<float>()[i * w.dim(1) + j]) -
          static_cast<double>(s.out_scale.data<float>()[i]) * s.in_scale.data<float>()[j];
      sum += d * d;
    }
  return sum;
}

double squares(const Tensor& w) {
  double sum = 0;
  for (int64_t i = 0; i < w.numel(); ++i)
    sum += static_cast<double>(w.data<float>()[i]) * w.data<float>()[i];
  return sum;
}

double rms(const Tensor& v) {
  return std::sqrt(squares(v) / static_cast<double>(v.numel()));
}

TEST(Svid, RecoversTheScalesOfARankOneMatrix) {
  Tensor w = random_matrix(5, 7, 1);
  std::vector<float> h{1, 2, 3, 0.5f, 4}, g{1, 0.1f, 2, 3, 0.7f, 5, 1.5f};
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < 7; ++j)
      w.data<float>()[i * 7 + j] = (w.data<float>()[i * 7 + j] >= 0 ? 1.0f : -1.0f) * h[i] * g[j];
  const Svid s = svid(w);
  EXPECT_NEAR(s.relative_error, 0, 1e-6);
  for (int64_t i = 0; i < 5; ++i)
    EXPECT_NEAR(s.out_scale.data<float>()[i] / s.out_scale.data<float>()[0], h[i], 1e-5);
  EXPECT_LT(squared_error(w, s), 1e-9);
}

TEST(Svid, ReportsTheErrorOfItsOwnFactors) {
  const Tensor w = random_matrix(20, 30, 2);
  for (SvidSplit split : {SvidSplit::balanced, SvidSplit::nmf, SvidSplit::out, SvidSplit::in}) {
    const Svid s = svid(w, SvidMethod::svd, split);
    EXPECT_NEAR(s.relative_error, std::sqrt(squared_error(w, s) / squares(w)), 1e-6);
  }
}

TEST(Svid, TheNonNegativeFactorisationHasTheSameError) {
  const Tensor w = random_matrix(40, 25, 3);
  EXPECT_NEAR(svid(w, SvidMethod::nmf).relative_error, svid(w, SvidMethod::svd).relative_error,
              1e-9);
}

TEST(Svid, NoScalesNearbyAreBetter) {
  const Tensor w = random_matrix(12, 9, 4);
  const Svid best = svid(w, SvidMethod::svd, SvidSplit::balanced, 60);
  Rng rng(5, RngStream::test);
  for (int trial = 0; trial < 50; ++trial) {
    Svid moved{best.out_scale.clone(), best.in_scale.clone(), 0};
    for (int64_t i = 0; i < 12; ++i)
      moved.out_scale.data<float>()[i] *= static_cast<float>(1 + 0.05 * rng.normal());
    for (int64_t j = 0; j < 9; ++j)
      moved.in_scale.data<float>()[j] *= static_cast<float>(1 + 0.05 * rng.normal());
    EXPECT_GE(squared_error(w, moved), squared_error(w, best) * (1 - 1e-6));
  }
}

TEST(Svid, SplitsTheScaleAsItsNameSays) {
  const Tensor w = random_matrix(50, 80, 6);
  const Svid balanced = svid(w);
  EXPECT_NEAR(rms(balanced.in_scale), rms(balanced.out_scale), 1e-6);
  EXPECT_NEAR(squares(svid(w, SvidMethod::svd, SvidSplit::out).in_scale), 1, 1e-5);
  EXPECT_NEAR(squares(svid(w, SvidMethod::svd, SvidSplit::in).out_scale), 1, 1e-5);
  const Svid nmf = svid(w, SvidMethod::svd, SvidSplit::nmf);
  double mean_w = 0, mean_h = 0;
  for (int64_t i = 0; i < w.numel(); ++i)
    mean_w += std::abs(w.data<float>()[i]) / static_cast<double>(w.numel());
  for (int64_t i = 0; i < 50; ++i) mean_h += nmf.out_scale.data<float>()[i] / 50;
  EXPECT_NEAR(mean_h, 0.80 * std::sqrt(mean_w), 1e-5);
}

TEST(Svid, ItsErrorIsTheSumOfTheOtherSquaredSingularValues) {
  const Tensor w = random_matrix(30, 20, 7);
  Tensor magnitudes = w.to(DType::f64);
  for (int64_t i = 0; i < w.numel(); ++i)
    magnitudes.data<double>()[i] = std::abs(magnitudes.data<double>()[i]);
  const SingularValues d = singular_value_decomposition(magnitudes);
  double others = 0;
  for (int64_t i = 1; i < 20; ++i) others += d.s.data<double>()[i] * d.s.data<double>()[i];
  EXPECT_NEAR(svid(w, SvidMethod::svd, SvidSplit::balanced, 60).relative_error,
              std::sqrt(others / squares(w)), 1e-7);
}

TEST(Svid, AZeroMatrixGivesZeroScales) {
  const Svid s = svid(Tensor::zeros({3, 4}, DType::f32));
  EXPECT_EQ(squares(s.out_scale) * squares(s.in_scale), 0);
  EXPECT_EQ(s.relative_error, 0);
}

}  // namespace
}  // namespace halftone
