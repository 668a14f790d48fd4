#include "halftone/quant/arb_x.h"

#include <gtest/gtest.h>

#include <vector>

#include "halftone/quant/arb.h"
#include "halftone/quant/billm.h"
#include "halftone/quant/methods.h"
#include "quant_testing.h"

namespace halftone {
namespace {

using testing::random_hessian;
using testing::random_numbers;
using testing::random_weight;

constexpr double kRounding = 1e-9;  // relative rise allowed to an update that must not rise

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

}  // namespace
}  // namespace halftone
