#include "halftone/quant/rtn.h"

#include <gtest/gtest.h>

#include <cmath>

#include "halftone/quant/grid.h"
#include "quant_testing.h"

namespace halftone {
namespace {

using testing::random_weight;

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

}  // namespace
}  // namespace halftone
