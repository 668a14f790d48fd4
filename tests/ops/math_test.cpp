#include "ops/math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace halftone {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Math, ExpIsThatOfTheLibrary) {
  for (float x = -87.3f; x < 88.7f; x += 0.0137f)
    ASSERT_NEAR(fast_exp(x) / std::exp(static_cast<double>(x)), 1, 2.5e-7) << x;
  EXPECT_EQ(fast_exp(-kInfinity), 0);
  EXPECT_TRUE(std::isnan(fast_exp(NAN)));
}

TEST(Math, PowersOfTwoAreThoseOfTheLibrary) {
  for (float x = -126; x < 0.1f; x += 0.0137f)
    ASSERT_NEAR(fast_exp2_negative(x) / std::exp2(static_cast<double>(x)), 1, 2.5e-7) << x;
  EXPECT_EQ(fast_exp2_negative(0.0f), 1);
  EXPECT_TRUE(std::isnan(fast_exp2_negative(NAN)));
}

// Hidden keys weigh exactly nothing, and what is almost nothing stays so.
TEST(Math, PowersFarBelowZeroAreZero) {
  for (const float x : {-kInfinity, -1e30f, -1000.0f, -127.5f, -127.0f})
    EXPECT_EQ(std::bit_cast<uint32_t>(fast_exp2_negative(x)), 0u) << x;
  for (float x = -127; x < -126; x += 0.001f) {
    EXPECT_GE(fast_exp2_negative(x), 0) << x;
    EXPECT_LT(fast_exp2_negative(x), 2.4e-38f) << x;
  }
}

}  // namespace
}  // namespace halftone
