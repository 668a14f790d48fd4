#include "halftone/quant/tied_scales.h"

#include <gtest/gtest.h>

#include <cmath>

#include "halftone/base/rng.h"
#include "halftone/quant/svid.h"
#include "halftone/tensor/arithmetic.h"
#include "halftone/tensor/numbers.h"

namespace halftone {
namespace {

Tensor random_matrix(int64_t n, int64_t m, uint64_t seed) {
  Tensor w = Tensor::uninitialized({n, m}, DType::f32);
  Rng rng(seed, RngStream::test);
  fill_normal(w, 1, rng);
  return w;
}

Tensor ones(int64_t n) {
  return Tensor::full({n}, DType::f32, 1);
}

double squared_error(const Tensor& w, const Tensor& g, const Tensor& c) {
  const int64_t m = w.dim(1), groups = c.dim(1);
  const auto ws = values_of(w), gs = values_of(g), cs = values_of(c);
  double sum = 0;
  for (int64_t i = 0; i < w.numel(); ++i) {
    const int64_t column = i % m;
    const double d = std::abs(ws[i]) - cs[i / m * groups + column / (m / groups)] * gs[column];
    sum += d * d;
  }
  return sum;
}

TEST(TiedScales, StacksRows) {
  const Tensor a = Tensor::of<float>({1, 2}, {1, 2}), b = Tensor::of<float>({2, 2}, {3, 4, 5, 6});
  const Tensor all = stacked_rows({a, b});
  EXPECT_EQ(all.shape(), (Shape{3, 2}));
  EXPECT_EQ(values_of(all), (std::vector<double>{1, 2, 3, 4, 5, 6}));
  EXPECT_THROW(stacked_rows({a, Tensor::of<float>({1, 1}, {1})}), std::invalid_argument);
}

TEST(TiedScales, SumsMagnitudesOfNeighbouringHeads) {
  // Two heads of two columns from four.
  const Tensor w = Tensor::of<float>({1, 8}, {1, -2, -10, 20, 3, 4, -30, 40});
  EXPECT_EQ(values_of(summed_heads(w, 2, 2)), (std::vector<double>{11, 22, 33, 44}));
  EXPECT_EQ(values_of(repeated_heads(Tensor::of<float>({4}, {1, 2, 3, 4}), 2, 2)),
            (std::vector<double>{1, 2, 1, 2, 3, 4, 3, 4}));
  EXPECT_THROW(summed_heads(w, 3, 2), std::invalid_argument);
}

// No tied g near it does better: the sum's SVID is the optimum under the constraint.
TEST(TiedScales, TheSvidOfSummedHeadsIsTheBestTiedRankOne) {
  const Tensor w = random_matrix(12, 16, 1);
  const auto error = [&](const Tensor& g) {
    const Tensor wide = repeated_heads(g, 2, 4);
    return squared_error(w, wide, group_scales(w, wide, 16).scales);
  };
  const Tensor best = svid(summed_heads(w, 2, 4), SvidMethod::svd, SvidSplit::in, 200).in_scale;
  const double least = error(best);
  for (int64_t j = 0; j < best.numel(); ++j)
    for (const float factor : {0.97f, 1.03f}) {
      Tensor moved = best.clone();
      moved.data<float>()[j] *= factor;
      EXPECT_GT(error(moved), least);
    }
}

TEST(TiedScales, AScaleOfAGroupIsItsMeanMagnitudeWhereTheInputsCountAlike) {
  const Tensor w = Tensor::of<float>({2, 4}, {1, -3, 4, 6, 0, 0, -1, 1});
  const GroupScales got = group_scales(w, ones(4), 2);
  EXPECT_EQ(got.scales.shape(), (Shape{2, 2}));
  EXPECT_EQ(values_of(got.scales), (std::vector<double>{2, 5, 0, 1}));
  EXPECT_NEAR(got.relative_error, std::sqrt(4.0 / 64), 1e-12);
}

TEST(TiedScales, ScalesAreLeastSquares) {
  const Tensor w = random_matrix(3, 12, 2), g = svid(w).in_scale;
  const GroupScales got = group_scales(w, g, 4);
  const double least = squared_error(w, g, got.scales);
  double squares = 0;
  for (const double x : values_of(w)) squares += x * x;
  EXPECT_NEAR(got.relative_error, std::sqrt(least / squares), 1e-6);
  for (int64_t k = 0; k < got.scales.numel(); ++k)
    for (const float factor : {0.97f, 1.03f}) {
      Tensor moved = got.scales.clone();
      moved.data<float>()[k] *= factor;
      EXPECT_GT(squared_error(w, g, moved), least);
    }
  // One group a row: h of the SVID itself.
  EXPECT_NEAR(group_scales(w, g, 12).relative_error, svid(w).relative_error, 1e-6);
}

}  // namespace
}  // namespace halftone
