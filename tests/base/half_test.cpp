#include "halftone/base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "halftone/base/rng.h"

namespace halftone {
namespace {

TEST(Half, EveryPatternSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float x = to_float(half_t{static_cast<uint16_t>(bits)});
    if (std::isnan(x))
      EXPECT_TRUE((bits & 0x7c00) == 0x7c00 && (bits & 0x3ff));
    else
      EXPECT_EQ(to_half(x).bits, bits);
  }
}

TEST(Half, RoundsToNearestEvenAlsoBelowTheNormalRange) {
  EXPECT_EQ(to_half(1.0f + 0x1p-11f).bits, 0x3c00);  // a tie goes to even
  EXPECT_EQ(to_half(1.0f + 3 * 0x1p-11f).bits, 0x3c02);
  EXPECT_EQ(to_half(65519.0f).bits, 0x7bff);
  EXPECT_EQ(to_half(65520.0f).bits, 0x7c00);
  EXPECT_EQ(to_half(0x1p-25f).bits, 0);  // half of the least: to even
  EXPECT_EQ(to_half(1.5f * 0x1p-24f).bits, 2);
  EXPECT_EQ(to_bf16(1.0f + 0x1p-8f).bits, 0x3f80);
  EXPECT_EQ(to_bf16(1.0f + 3 * 0x1p-8f).bits, 0x3f82);
}

TEST(Half, TheVectorPathsGiveTheScalarBits) {
  std::vector<float> x;
  Rng rng(3, RngStream::test);
  for (int i = 0; i < 1003; ++i)
    x.push_back(static_cast<float>(rng.normal() * std::pow(10.0, rng.uniform() * 12 - 8)));
  std::vector<half_t> h(x.size());
  std::vector<float> back(x.size());
  float_to_half(x.data(), h.data(), static_cast<int64_t>(x.size()));
  half_to_float(h.data(), back.data(), static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(h[i].bits, to_half(x[i]).bits) << x[i];
    EXPECT_EQ(back[i], to_float(h[i]));
  }
}

}  // namespace
}  // namespace halftone
