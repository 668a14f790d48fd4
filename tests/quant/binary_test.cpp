#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "halftone/quant/arb.h"
#include "halftone/quant/arb_rc.h"
#include "halftone/quant/arb_x.h"
#include "halftone/quant/billm.h"
#include "halftone/quant/methods.h"
#include "halftone/quant/svid.h"
#include "quant_testing.h"

namespace halftone {
namespace {

constexpr Refinement kRefinements[] = {Refinement::none, Refinement::arb, Refinement::arb_x,
                                       Refinement::arb_rc};

using testing::random_hessian;
using testing::random_numbers;
using testing::random_weight;

constexpr double kRounding = 1e-9;  // relative rise allowed to an update that must not rise

TEST(Braq, OrderTwoIsExactForOneAndTwoElementsAndZeroForNone) {
  BinaryRow row;
  for (const std::vector<double>& x : {std::vector<double>{0.3}, {0.3, -1.7}}) {
    braq(x, 2, row);
    EXPECT_LT(squared_error(x, row), 1e-30);
  }
  braq({}, 2, row);
  EXPECT_EQ(row.mu, 0);
  EXPECT_EQ(row.alpha[0], 0);
}

TEST(Braq, IsTheFormula) {
  const std::vector<double> x{1, 2, 3, -2};  // mean 1, mean |x - 1| = 1.5
  BinaryRow row;
  braq(x, 1, row);
  EXPECT_DOUBLE_EQ(row.mu, 1);
  EXPECT_DOUBLE_EQ(row.alpha[0], 1.5);
  EXPECT_EQ(row.b[0], (std::vector<double>{1, 1, 1, -1}));  // sgn(0) = +1
}

TEST(Arb, NoUpdateRaisesTheError) {
  for (uint64_t problem = 0; problem < 60; ++problem)
    for (const int order : {1, 2}) {
      const auto x = random_numbers(3 + static_cast<int64_t>(problem) * 2, 100 + problem,
                                    static_cast<int>(problem % 2));
      BinaryRow row;
      braq(x, order, row);
      double last = squared_error(x, row);
      const auto check = [&](const char* what) {
        const double now = squared_error(x, row);
        EXPECT_LE(now, last * (1 + kRounding) + 1e-15) << what << " of problem " << problem;
        last = now;
      };
      for (int t = 0; t < 15; ++t) {
        arb_update_mean(x, row);
        check("mean");
        arb_update_scales(x, row);
        check("scales");
        EXPECT_GE(row.alpha[0], 0);
        arb_update_signs(x, row);
        check("signs");
      }
    }
}

TEST(Arb, TheErrorFallsByTheSumOfTheoremOne) {
  const auto x = random_numbers(128, 7, 1);
  BinaryRow row;
  braq(x, 1, row);
  const double start = squared_error(x, row), alpha = row.alpha[0], mu = row.mu;
  for (int t = 0; t < 10; ++t) {
    arb_update_mean(x, row);
    arb_update_scales(x, row);
    const double expected =
        start - 128 * (row.alpha[0] * row.alpha[0] - alpha * alpha - (row.mu - mu) * (row.mu - mu));
    EXPECT_NEAR(squared_error(x, row) / expected, 1, 1e-12) << t;
    arb_update_signs(x, row);
  }
}

TEST(Arb, TheNearestOfFourPairsIsTheNestedSign) {
  const auto x = random_numbers(200, 8);
  BinaryRow row;
  braq(x, 2, row);
  row.alpha = {0.9, 0.4};
  arb_update_signs(x, row);
  for (size_t j = 0; j < x.size(); ++j) {
    const double z = x[j] - row.mu, first = z >= 0 ? 1 : -1;
    EXPECT_EQ(row.b[0][j], first);
    EXPECT_EQ(row.b[1][j], z - 0.9 * first >= 0 ? 1 : -1);
  }
}

RowColumnProblem random_problem(uint64_t stream, int order, int percent) {
  RowColumnProblem p{.rows = 12, .width = 20, .w = {}, .mask = {}, .order = order};
  p.w = random_numbers(240, stream, static_cast<int>(stream % 2));
  p.mask.assign(240, 0);
  Rng rng(5, stream);
  for (size_t k = 0; k < 240; ++k) {
    p.mask[k] = rng.below(100) < static_cast<uint64_t>(percent);
    p.w[k] *= p.mask[k];
  }
  return p;
}

TEST(ArbRc, NoUpdateRaisesTheErrorUnderAnyMask) {
  for (uint64_t problem = 0; problem < 60; ++problem)
    for (const int order : {1, 2}) {
      RowColumnProblem p = random_problem(problem, order, std::array{10, 70, 100}[problem % 3]);
      arb_rc_start(p);
      double last = arb_rc_error(p);
      const auto check = [&](const char* what) {
        const double now = arb_rc_error(p);
        EXPECT_LE(now, last * (1 + kRounding) + 1e-25) << what << " of problem " << problem;
        last = now;
      };
      for (int t = 0; t < 15; ++t) {
        for (int k = 0; k < order; ++k) {
          arb_rc_update_rows(p, k);
          check("rows");
          arb_rc_update_columns(p, k);
          check("columns");
        }
        arb_rc_update_signs(p);
        check("signs");
      }
    }
}

TEST(ArbRc, OfTheFirstOrderWithoutAMaskIsTheSvid) {
  RowColumnProblem p = random_problem(3, 1, 100);
  arb_rc_start(p);
  for (int t = 0; t < 30; ++t) {
    arb_rc_update_rows(p, 0);
    arb_rc_update_columns(p, 0);
  }
  Tensor w = Tensor::uninitialized({12, 20}, DType::f32);
  double squares = 0;
  for (int64_t k = 0; k < 240; ++k) {
    w.data<float>()[k] = static_cast<float>(p.w[k]);
    squares += p.w[k] * p.w[k];
  }
  EXPECT_NEAR(std::sqrt(arb_rc_error(p) / squares), svid(w).relative_error, 1e-7);
}

// tr(R S R^T) of a whole block, from its stored numbers before rounding: recomputed from scratch.
double output_error(const std::vector<double>& r, const std::vector<double>& s, int64_t width) {
  double sum = 0;
  for (size_t i = 0; i < r.size() / width; ++i)
    for (int64_t j = 0; j < width; ++j)
      for (int64_t k = 0; k < width; ++k)
        sum += r[i * width + j] * s[j * width + k] * r[i * width + k];
  return sum;
}

TEST(ArbX, NoRoundRaisesTheOutputErrorOfItsRow) {
  // One group of order 2 over 24 of 24 columns: vectors m, b_1, b_2.
  const int64_t width = 24;
  const Tensor h = random_hessian(width, 21);
  const std::vector<double> s(h.data<double>(), h.data<double>() + width * width);
  for (uint64_t problem = 0; problem < 40; ++problem) {
    const auto x = random_numbers(width, 300 + problem, 1);
    BinaryRow row;
    arb(x, 2, 15, row);
    std::vector<double> v(static_cast<size_t>(3 * width), 1);
    for (int64_t j = 0; j < width; ++j) {
      v[width + j] = row.b[0][j];
      v[2 * width + j] = row.b[1][j];
    }
    std::vector<double> gram(9, 0), rhs(3, 0), c{row.mu, row.alpha[0], row.alpha[1]};
    for (int p = 0; p < 3; ++p)
      for (int64_t j = 0; j < width; ++j)
        for (int64_t k = 0; k < width; ++k) {
          rhs[p] += v[p * width + j] * s[j * width + k] * x[k];
          for (int q = 0; q < 3; ++q)
            gram[p * 3 + q] += v[p * width + j] * s[j * width + k] * v[q * width + k];
        }
    const auto error = [&] {
      std::vector<double> r(x);
      for (int p = 0; p < 3; ++p)
        for (int64_t j = 0; j < width; ++j) r[j] -= c[p] * v[p * width + j];
      return output_error(r, s, width);
    };
    double last = error();
    for (int t = 0; t < 15; ++t) {
      arb_x_round(3, gram.data(), rhs.data(), 0, c.data());
      EXPECT_LE(error(), last * (1 + kRounding));
      last = error();
    }
  }
}

TEST(ArbX, TheJointRoundsNeverEndAboveTheReleasedOnesOnAverage) {
  double released = 0, joint = 0, plain = 0;
  for (uint64_t problem = 0; problem < 8; ++problem) {
    const Tensor w = random_weight(16, 64, 400 + problem), h = random_hessian(64, 500 + problem);
    PtqSettings s{.block_comp = BlockCompensation::none};
    plain += relative_error(w, reconstruct(billm(w, h, Refinement::arb, s)), h);
    released += relative_error(w, reconstruct(billm(w, h, Refinement::arb_x, s)), h);
    s.x_joint = true;
    joint += relative_error(w, reconstruct(billm(w, h, Refinement::arb_x, s)), h);
  }
  EXPECT_LT(released, plain);
  EXPECT_LT(joint, released);
}

TEST(Billm, ThePackedFormHoldsTheBitsOfTheFormula) {
  const int64_t n = 32, m = 144;  // a short last block of 16 columns
  const Tensor w = random_weight(n, m, 30), h = random_hessian(m, 31);
  for (const Refinement refinement : kRefinements)
    for (const bool cgb : {false, true}) {
      const PtqSettings settings{.cgb = cgb};
      const LowBitMatrix q = billm(w, h, refinement, settings);
      check_parts(q, "w");
      const LowBitCount count = count_bits(q);
      const int64_t c = std::lround((count.paper_bits - 1) * m), nb = 2;
      EXPECT_GT(c, 0);
      const bool rc = refinement == Refinement::arb_rc;
      const int64_t k = rc ? (cgb ? 6 : 4) : (cgb ? 10 : 7);
      const int64_t kc = rc ? (cgb ? 4 : 2) * c + 2 * (m - c) : 0;
      EXPECT_EQ(count.stored_bits, 2 * n * m + n * c + m + 16 * (k * n * nb + kc));
    }
}

TEST(Billm, EveryVariantStoresAMatrixCloserThanXnor) {
  const Tensor w = random_weight(24, 200, 32), h = random_hessian(200, 33);
  const double worst = relative_error(w, reconstruct(xnor(w)), h);
  for (const Refinement refinement : kRefinements)
    for (const Search search : {Search::saliency, Search::magnitude, Search::paper})
      for (const int64_t num_p : {int64_t{1}, int64_t{3}}) {
        const PtqSettings settings{.search = search, .num_p = num_p};
        const LowBitMatrix q = billm(w, h, refinement, settings);
        check_parts(q, "w");
        EXPECT_LT(relative_error(w, reconstruct(q), h), worst)
            << static_cast<int>(refinement) << " " << static_cast<int>(search) << " " << num_p;
      }
}

TEST(Billm, ExactCompensationIsNoWorseThanDiagonalOnAverageAndNoneIsTheWorst) {
  double diag = 0, exact = 0, none = 0;
  for (uint64_t problem = 0; problem < 20; ++problem) {
    const Tensor w = random_weight(12, 160, 600 + problem), h = random_hessian(160, 700 + problem);
    PtqSettings s{.blocksize = 32, .cgb = false};
    diag += relative_error(w, reconstruct(billm(w, h, Refinement::none, s)), h);
    s.block_comp = BlockCompensation::exact;
    exact += relative_error(w, reconstruct(billm(w, h, Refinement::none, s)), h);
    s.block_comp = BlockCompensation::none;
    none += relative_error(w, reconstruct(billm(w, h, Refinement::none, s)), h);
  }
  EXPECT_LE(exact, diag);
  EXPECT_LT(diag, none);
}

TEST(Billm, DeadColumnsOneRowAndOddWidthsPass) {
  const Tensor w = random_weight(1, 131, 34);  // last block: 3 columns
  Tensor h = random_hessian(131, 35);
  for (int64_t j = 0; j < 131; ++j)
    h.data<double>()[9 * 131 + j] = h.data<double>()[j * 131 + 9] = 0;
  for (const Refinement refinement : kRefinements) {
    const LowBitMatrix q = billm(w, h, refinement, {});
    check_parts(q, "w");
    const Tensor back = reconstruct(q);
    for (int64_t j = 0; j < 131; ++j) EXPECT_TRUE(std::isfinite(back.data<float>()[j])) << j;
  }
}

TEST(Billm, ABlockOfOneColumnHasNoSalientOneAndIsStoredAllTheSame) {
  const Tensor w = random_weight(4, 1, 36), h = random_hessian(1, 37, 9);
  const LowBitMatrix q = ptq_method("billm").quantise(w, h, {.cgb = false});
  check_parts(q, "w");
  EXPECT_EQ(count_bits(q).paper_bits, 1);
}

TEST(LowBitMatrix, HasTheFileSizesOfLlama7B) {
  // Linears of LLaMA-7B and its fp16 embedding and head; bits of methods 5.7 at r = 0.09.
  const auto gigabytes = [](bool rc, bool cgb) {
    double bits = 16.0 * 2 * 32000 * 4096;
    for (const auto& [n, m, count] :
         {std::array<int64_t, 3>{4096, 4096, 4 * 32}, {11008, 4096, 2 * 32}, {4096, 11008, 32}}) {
      const BinaryLayout layout{
          .blocksize = 128, .row_column = rc, .partitioned = true, .cgb = cgb};
      bits += static_cast<double>(count * layout.planned_bits(n, m, std::lround(0.09 * m)));
    }
    return bits / 8e9;
  };
  EXPECT_NEAR(gigabytes(false, false), 2.93, 0.006);
  EXPECT_NEAR(gigabytes(false, true), 3.23, 0.006);
  EXPECT_NEAR(gigabytes(true, false), 2.63, 0.006);
  EXPECT_NEAR(gigabytes(true, true), 2.83, 0.006);
}

}  // namespace
}  // namespace halftone
