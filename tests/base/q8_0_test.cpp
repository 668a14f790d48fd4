#include "halftone/base/q8_0.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "halftone/base/rng.h"

namespace halftone {
namespace {

TEST(Q8, HoldsNumbersToHalfAStep) {
  constexpr int64_t kBlocks = 10, kNumbers = kBlocks * q8_0_t::kNumbers;
  Rng rng(9, RngStream::test);
  std::vector<float> x(kNumbers), back(kNumbers);
  for (float& v : x) v = static_cast<float>(rng.normal());
  std::vector<q8_0_t> blocks(kBlocks);
  float_to_q8_0(x.data(), blocks.data(), kNumbers);
  q8_0_to_float(blocks.data(), back.data(), kNumbers);
  for (int64_t b = 0; b < kBlocks; ++b) {
    float most = 0;
    for (int64_t j = 0; j < 32; ++j) most = std::max(most, std::fabs(x[32 * b + j]));
    EXPECT_EQ(
        std::abs(*std::max_element(blocks[b].q, blocks[b].q + 32,
                                   [](int8_t p, int8_t q) { return std::abs(p) < std::abs(q); })),
        127);
    for (int64_t j = 32 * b; j < 32 * b + 32; ++j)
      EXPECT_NEAR(back[j], x[j], most / 127 * 0.5 + most * 6e-4) << j;
  }
}

TEST(Q8, ZerosStayZeros) {
  const std::vector<float> x(32, 0.0f);
  q8_0_t block;
  std::vector<float> back(32, 1.0f);
  float_to_q8_0(x.data(), &block, 32);
  widen_q8_0(&block, back.data(), 32);
  EXPECT_EQ(back, x);
}

}  // namespace
}  // namespace halftone
