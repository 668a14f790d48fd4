#include "halftone/quant/billm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "halftone/quant/methods.h"
#include "quant_testing.h"

namespace halftone {
namespace {

using testing::random_hessian;
using testing::random_weight;

constexpr Refinement kRefinements[] = {Refinement::none, Refinement::arb, Refinement::arb_x,
                                       Refinement::arb_rc};

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

}  // namespace
}  // namespace halftone
