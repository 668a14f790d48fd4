#include "halftone/quant/arb_rc.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "halftone/quant/svid.h"
#include "quant_testing.h"

namespace halftone {
namespace {

using testing::random_numbers;

constexpr double kRounding = 1e-9;  // relative rise allowed to an update that must not rise

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

}  // namespace
}  // namespace halftone
