#include "halftone/quant/calibrated_signs.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "halftone/quant/arb_rc.h"
#include "halftone/tensor/linalg.h"
#include "quant_testing.h"

namespace halftone {
namespace {

using testing::random_hessian;
using testing::random_numbers;

constexpr int64_t kRows = 24, kColumns = 32;
constexpr double kRounding = 1e-9;  // relative rise allowed to an update that must not rise

// Started as SVID starts, up to a few rounds: row means of |W|, signs of W, g = 1.
CalibratedSigns random_problem(uint64_t stream, int64_t group, int64_t repeats) {
  CalibratedSigns p{.rows = kRows,
                    .columns = kColumns,
                    .group = group,
                    .tied = {},
                    .w = {},
                    .s = {},
                    .h = {},
                    .g = {}};
  p.w = random_numbers(kRows * kColumns, stream, static_cast<int>(stream % 2));
  for (const double w : p.w) p.s.push_back(w >= 0 ? 1 : -1);
  for (int64_t j = 0; j < kColumns; ++j) p.tied.push_back(j / repeats);
  p.g.assign(static_cast<size_t>(kColumns / repeats), 1);
  for (int64_t k = 0; k < kRows * p.groups(); ++k) {
    double sum = 0;
    for (int64_t j = 0; j < group; ++j) sum += std::abs(p.w[k * group + j]);
    p.h.push_back(sum / static_cast<double>(group));
  }
  return p;
}

// With fewer inputs seen than there are columns in every third problem, and two columns that were
// always 0.
Tensor gram_of(uint64_t stream) {
  Tensor gram = random_hessian(kColumns, stream, stream % 3 == 0 ? kColumns / 2 : 0);
  for (const int64_t dead : {3, 20})
    for (int64_t j = 0; j < kColumns; ++j)
      gram.data<double>()[dead * kColumns + j] = gram.data<double>()[j * kColumns + dead] = 0;
  return gram;
}

// E by its definition.
double plain_error(const CalibratedSigns& p, const Tensor& gram) {
  double out = 0;
  for (int64_t i = 0; i < p.rows; ++i)
    for (int64_t j = 0; j < p.columns; ++j)
      for (int64_t l = 0; l < p.columns; ++l) {
        const auto rest = [&](int64_t c) {
          return p.w[i * p.columns + c] -
                 p.h[i * p.groups() + c / p.group] * p.s[i * p.columns + c] * p.g[p.tied[c]];
        };
        out += rest(j) * gram.data<double>()[j * p.columns + l] * rest(l);
      }
  return out;
}

TEST(CalibratedSigns, NoUpdateRaisesTheError) {
  for (uint64_t problem = 0; problem < 30; ++problem) {
    const int64_t group = std::array{kColumns, int64_t{8}}[problem % 2],
                  repeats = std::array{1, 1, 4}[problem % 3];
    CalibratedSigns p = random_problem(problem, group, repeats);
    const Tensor gram = gram_of(problem);
    double last = plain_error(p, gram);
    const auto check = [&](const char* what) {
      const double now = plain_error(p, gram);
      EXPECT_LE(now, last * (1 + kRounding)) << what << " of problem " << problem;
      last = now;
    };
    for (int t = 0; t < 6; ++t) {
      update_row_scales(p, gram);
      check("rows");
      update_column_scales(p, gram);
      check("columns");
      const double told = update_signs(p, gram);
      check("signs");
      EXPECT_NEAR(told, last, 1e-9 * last);
      EXPECT_NEAR(calibrated_error(p, gram), last, 1e-9 * last);
    }
    for (const double h : p.h) EXPECT_GE(h, 0);
    for (const double g : p.g) EXPECT_GE(g, 0);
  }
}

TEST(CalibratedSigns, RowScalesOfOneGroupAreTheLeastSquares) {
  CalibratedSigns p = random_problem(1, kColumns, 1);
  const Tensor gram = gram_of(1);
  update_row_scales(p, gram);
  const double least = plain_error(p, gram);
  for (const double factor : {0.999, 1.001}) {
    CalibratedSigns moved = p;
    for (double& h : moved.h) h *= factor;
    EXPECT_GT(plain_error(moved, gram), least);
  }
}

TEST(CalibratedSigns, ColumnScalesGoTowardsTheLeastSquares) {
  CalibratedSigns p = random_problem(2, kColumns, 4);
  const Tensor gram = gram_of(2);
  for (int t = 0; t < 60; ++t) update_column_scales(p, gram);
  const double least = plain_error(p, gram);
  for (size_t t = 0; t < p.g.size(); ++t)
    for (const double factor : {0.99, 1.01}) {
      CalibratedSigns moved = p;
      moved.g[t] *= factor;
      EXPECT_GT(plain_error(moved, gram), least) << t;
    }
}

TEST(CalibratedSigns, NoSingleTurnOfASignIsLeftThatLowersTheError) {
  CalibratedSigns p = random_problem(4, 8, 1);
  const Tensor gram = gram_of(4);
  double least = 0;
  for (int t = 0; t < 20; ++t) least = update_signs(p, gram);
  for (double& s : p.s) {
    s = -s;
    EXPECT_GE(plain_error(p, gram), least * (1 - kRounding));
    s = -s;
  }
}

TEST(CalibratedSigns, WithoutCorrelationsTheUpdatesAreThoseOfArbRc) {
  CalibratedSigns p = random_problem(5, kColumns, 1);
  Tensor identity = Tensor::zeros({kColumns, kColumns}, DType::f64);
  for (int64_t j = 0; j < kColumns; ++j) identity.data<double>()[j * kColumns + j] = 1;
  RowColumnProblem arb{
      .rows = kRows, .width = kColumns, .w = p.w, .mask = std::vector<double>(p.w.size(), 1)};
  arb_rc_start(arb);
  for (int t = 0; t < 40; ++t) {
    update_row_scales(p, identity);
    update_column_scales(p, identity);
    update_signs(p, identity);
    arb_rc_update_rows(arb, 0);
    arb_rc_update_columns(arb, 0);
  }
  EXPECT_NEAR(calibrated_error(p, identity), arb_rc_error(arb), 1e-9 * arb_rc_error(arb));
  EXPECT_EQ(p.s, arb.b[0]);
}

TEST(CalibratedSigns, RefiningLowersTheErrorBelowThatOfTheWeightsAlone) {
  for (const bool fixed : {false, true}) {
    CalibratedSigns p = random_problem(7, kColumns, 1);
    const Tensor gram = gram_of(7);
    const double before = plain_error(p, gram), after = refine_calibrated(p, gram, fixed);
    EXPECT_NEAR(after, plain_error(p, gram), 1e-9 * before);
    EXPECT_LT(after, 0.7 * before);
    EXPECT_EQ(p.g == std::vector<double>(kColumns, 1), fixed);
  }
}

}  // namespace
}  // namespace halftone
