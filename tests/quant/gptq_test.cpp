#include "halftone/quant/gptq.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "halftone/quant/grid.h"
#include "halftone/quant/methods.h"
#include "halftone/quant/rtn.h"
#include "halftone/tensor/linalg.h"
#include "quant_testing.h"

namespace halftone {
namespace {

using testing::random_hessian;
using testing::random_weight;

double largest_difference(const Tensor& a, const Tensor& b) {
  double out = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    out = std::max(out, std::abs(static_cast<double>(a.data<float>()[i]) - b.data<float>()[i]));
  return out;
}

// Optimal brain surgeon, literally: quantise a column, update the others, take its row and column
// out of the inverse Hessian.
Tensor literal_obs(const Tensor& w, const Tensor& hessian, const PtqSettings& settings) {
  const int64_t n = w.dim(0), m = w.dim(1);
  Tensor h = hessian.clone();
  double mean = 0;
  for (int64_t j = 0; j < m; ++j) mean += h.data<double>()[j * m + j] / static_cast<double>(m);
  for (int64_t j = 0; j < m; ++j) h.data<double>()[j * m + j] += settings.damp_percent * mean;
  Tensor inverse = inverse_positive_definite(h);
  double* c = inverse.data<double>();
  Tensor out = Tensor::uninitialized({n, m}, DType::f32);
  std::vector<double> rest(static_cast<size_t>(n * m));
  std::vector<Grid> grids;
  for (int64_t i = 0; i < n * m; ++i) rest[i] = w.data<float>()[i];
  for (int64_t i = 0; i < n; ++i)
    grids.push_back(fit_grid({rest.data() + i * m, rest.data() + (i + 1) * m}, settings));
  for (int64_t q = 0; q < m; ++q) {
    for (int64_t i = 0; i < n; ++i) {
      const double value = grids[i].value(grids[i].code(rest[i * m + q]));
      out.data<float>()[i * m + q] = static_cast<float>(value);
      const double error = (rest[i * m + q] - value) / c[q * m + q];
      for (int64_t j = q; j < m; ++j) rest[i * m + j] -= error * c[q * m + j];
    }
    for (int64_t j = m - 1; j >= q; --j)
      for (int64_t k = m - 1; k >= q; --k)
        if (j != q && k != q) c[j * m + k] -= c[j * m + q] * c[q * m + k] / c[q * m + q];
  }
  return out;
}

TEST(Gptq, EqualsLiteralElimination) {
  const Tensor w = random_weight(32, 256, 4), h = random_hessian(256, 5);
  PtqSettings settings{.bits = 3, .group_size = 0};
  EXPECT_LE(largest_difference(reconstruct(gptq(w, h, settings)), literal_obs(w, h, settings)),
            1e-9);
}

TEST(Gptq, TheBlockSizeChangesNothing) {
  const Tensor w = random_weight(8, 200, 6), h = random_hessian(200, 7);
  const Tensor expected = reconstruct(gptq(w, h, {.bits = 2, .group_size = 0}));
  for (const int64_t blocksize : {int64_t{1}, int64_t{64}, int64_t{200}})
    EXPECT_LE(largest_difference(
                  reconstruct(gptq(w, h, {.bits = 2, .group_size = 0, .blocksize = blocksize})),
                  expected),
              1e-9)
        << blocksize;
}

TEST(Gptq, BeatsRoundToNearestOnCorrelatedInputs) {
  const Tensor w = random_weight(24, 192, 8), h = random_hessian(192, 9);
  for (const bool ordered : {false, true}) {
    const PtqSettings settings{.bits = 2, .group_size = 64, .act_order = ordered};
    EXPECT_LT(relative_error(w, reconstruct(gptq(w, h, settings)), h),
              0.8 * relative_error(w, reconstruct(rtn(w, settings)), h));
  }
}

TEST(Gptq, TheScaleOfTheHessianDoesNotMatter) {
  const Tensor w = random_weight(8, 96, 10), h = random_hessian(96, 11);
  Tensor scaled = h.clone();
  for (int64_t i = 0; i < h.numel(); ++i) scaled.data<double>()[i] *= 7.3;
  EXPECT_LE(largest_difference(reconstruct(gptq(w, h, {.bits = 3})),
                               reconstruct(gptq(w, scaled, {.bits = 3}))),
            1e-9);
}

TEST(Gptq, ADeadColumnBecomesZero) {
  const Tensor w = random_weight(4, 40, 12);
  Tensor h = random_hessian(40, 13);
  for (int64_t j = 0; j < 40; ++j) h.data<double>()[7 * 40 + j] = h.data<double>()[j * 40 + 7] = 0;
  const Tensor back = reconstruct(gptq(w, h, {.bits = 2, .group_size = 0}));
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(back.data<float>()[i * 40 + 7], 0);
}

}  // namespace
}  // namespace halftone
