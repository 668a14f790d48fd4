#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "halftone/base/error.h"
#include "halftone/quant/gptq.h"
#include "halftone/quant/grid.h"
#include "halftone/quant/methods.h"
#include "halftone/quant/packed_codes.h"
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

TEST(PackedCodes, ComeBackAtEveryWidth) {
  for (int bits = 1; bits <= 8; ++bits) {
    Rng rng(1, 2);
    std::vector<uint8_t> codes(101);
    for (uint8_t& code : codes) code = static_cast<uint8_t>(rng.below(uint64_t{1} << bits));
    const Tensor packed = pack_codes(codes, bits);
    EXPECT_EQ(packed.numel(), (101 * bits + 7) / 8);
    EXPECT_EQ(unpack_codes(packed, 101, bits), codes) << bits;
  }
  EXPECT_THROW(pack_codes({4}, 2), std::invalid_argument);
}

TEST(Grid, TheLastBitOfASumDoesNotDecideATie) {
  const double tie = 1 + 0x1p-11;
  EXPECT_EQ(half_value(tie), 1);
  EXPECT_EQ(half_value(tie + 0x1p-51), 1);
  EXPECT_EQ(half_value(tie + 0x1p-20), 1 + 0x1p-10);
  EXPECT_EQ(half_value(-tie - 0x1p-20), -1 - 0x1p-10);
}

TEST(Rtn, ReachesEveryWeightWithinHalfAStepOfItsGrid) {
  const Tensor w = random_weight(5, 70, 1);
  PtqSettings settings{.bits = 3, .group_size = 32};
  const LowBitMatrix q = rtn(w, settings);
  const Tensor back = reconstruct(q);
  const half_t* scales = q.parts.at("scales").data<half_t>();
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < 70; ++j) {
      const double step = to_float(scales[i * 3 + j / 32]);
      // The zero point is rounded to a whole code: half a step more at the ends of the grid.
      EXPECT_LE(std::abs(w.data<float>()[i * 70 + j] - back.data<float>()[i * 70 + j]),
                1.01 * step);
    }
  EXPECT_EQ(count_bits(q).stored_bits, 8 * ((5 * 70 * 3 + 7) / 8 + 2 * 15 + (15 * 3 + 7) / 8));
}

TEST(Rtn, OneBitKeepsZeroAndOneLevel) {
  const Tensor w = Tensor::of<float>({1, 4}, {0.0f, 1.0f, 0.9f, 0.1f});
  const Tensor back = reconstruct(rtn(w, {.bits = 1, .group_size = 0}));
  EXPECT_EQ(back.data<float>()[0], 0);
  EXPECT_NEAR(back.data<float>()[1], 1, 1e-3);
  EXPECT_NEAR(back.data<float>()[2], 1, 1e-3);
  EXPECT_EQ(back.data<float>()[3], 0);
}

TEST(Rtn, ShrunkGridsNeverRaiseTheirOwnError) {
  const auto row = testing::random_numbers(64, 3, 1);
  PtqSettings plain{.bits = 2}, shrunk{.bits = 2, .mse = true};
  const auto error = [&](const Grid& grid) {
    double sum = 0;
    for (const double x : row) sum += std::pow(std::abs(grid.value(grid.code(x)) - x), 2.4);
    return sum;
  };
  EXPECT_LT(error(fit_grid(row, shrunk)), error(fit_grid(row, plain)));
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

TEST(RelativeError, OfNanOutputsIsNanAndOfDeadOnesZero) {
  const Tensor w = random_weight(3, 4, 1), other = random_weight(3, 4, 2);
  EXPECT_TRUE(std::isnan(relative_error(w, other, Tensor::full({4, 4}, DType::f64, NAN))));
  EXPECT_EQ(relative_error(w, other, Tensor::zeros({4, 4}, DType::f64)), 0);
}

TEST(Gptq, ADeadColumnBecomesZero) {
  const Tensor w = random_weight(4, 40, 12);
  Tensor h = random_hessian(40, 13);
  for (int64_t j = 0; j < 40; ++j) h.data<double>()[7 * 40 + j] = h.data<double>()[j * 40 + 7] = 0;
  const Tensor back = reconstruct(gptq(w, h, {.bits = 2, .group_size = 0}));
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(back.data<float>()[i * 40 + 7], 0);
}

TEST(Hessian, TheSumIsTheFormula) {
  const int64_t rows = 6, m = 5;
  const auto z = testing::random_numbers(rows * m, 14);
  Tensor x = Tensor::uninitialized({rows, m}, DType::f32);
  for (int64_t i = 0; i < rows * m; ++i) x.data<float>()[i] = static_cast<float>(z[i]);
  HessianSum at_once(m), apart(m);
  at_once.add(x, 3);
  for (int64_t s = 0; s < 3; ++s) apart.add(x.rows(2 * s, 2 * s + 2), 1);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j) {
      double expected = 0;
      for (int64_t r = 0; r < rows; ++r) expected += 2.0 / 3 * z[r * m + i] * z[r * m + j];
      EXPECT_NEAR(at_once.hessian().data<double>()[i * m + j], expected, 1e-5);
      EXPECT_NEAR(apart.hessian().data<double>()[i * m + j], expected, 1e-5);
    }
}

TEST(Hessian, ItsPanelsMakeASymmetricMatrixAndTheSameEnergy) {
  const int64_t rows = 2100, m = 300, n = 3;  // two products of tokens, two panels of columns
  Tensor x = Tensor::uninitialized({rows, m}, DType::f32);
  const auto z = testing::random_numbers(rows * m, 15);
  for (int64_t k = 0; k < rows * m; ++k) x.data<float>()[k] = static_cast<float>(z[k]);
  HessianSum sum(m);
  sum.add(x, 2);
  const Tensor hessian = sum.hessian();
  const double* h = hessian.data<double>();
  for (const auto& [i, j] : {std::pair{0, 0}, {0, 299}, {255, 256}, {280, 290}, {299, 299}}) {
    double expected = 0;
    for (int64_t r = 0; r < rows; ++r)
      expected += static_cast<double>(x.data<float>()[r * m + i]) * x.data<float>()[r * m + j];
    EXPECT_NEAR(h[i * m + j], expected, 1e-3) << i << " " << j;
    EXPECT_EQ(h[i * m + j], h[j * m + i]);
  }
  Tensor d = Tensor::uninitialized({n, m}, DType::f64);
  std::copy_n(z.begin(), n * m, d.data<double>());
  double expected = 0;
  for (int64_t r = 0; r < n; ++r)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < m; ++j) expected += z[r * m + i] * h[i * m + j] * z[r * m + j];
  EXPECT_NEAR(hessian_energy(d, hessian) / expected, 1, 1e-12);
}

TEST(Hessian, OneThatIsNotPositiveDefiniteIsAnErrorOfItsKind) {
  Tensor h = Tensor::zeros({3, 3}, DType::f64);
  h.data<double>()[0] = 1;
  h.data<double>()[4] = -5;
  h.data<double>()[8] = 1;
  EXPECT_THROW(prepare_hessian(h, 0.01), Error);
}

TEST(LowBitMatrix, MissingAndWrongPartsAreNamed) {
  LowBitMatrix q = rtn(random_weight(4, 32, 15), {.bits = 2, .group_size = 16});
  check_parts(q, "w");
  q.parts["zeros"] = Tensor::zeros({3}, DType::u8);
  try {
    check_parts(q, "w");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "w.zeros: 3 numbers of U8, expected 2 of U8");
  }
  q.parts.erase("zeros");
  EXPECT_THROW(check_parts(q, "w"), Error);
}

}  // namespace
}  // namespace halftone
