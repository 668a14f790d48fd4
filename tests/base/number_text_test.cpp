#include "halftone/base/number_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

namespace halftone {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(NumberText, ForPeopleIsNeverWiderThanAColumn) {
  EXPECT_EQ(fixed_text(20.12345, 3), "20.123");
  EXPECT_EQ(fixed_text(0, 3), "0.000");
  EXPECT_EQ(fixed_text(9999999, 1), "9999999.0");
  EXPECT_EQ(fixed_text(1e300, 4), "1.000e+300");
  EXPECT_EQ(fixed_text(-12345678, 0), "-1e+07");
  EXPECT_EQ(fixed_text(kInfinity, 3), "inf");
  EXPECT_EQ(fixed_text(-kInfinity, 3), "-inf");
}

TEST(NumberText, ANanHasNoSign) {
  for (const double nan : {kNan, -kNan, std::copysign(kNan, -1.0)}) {
    EXPECT_EQ(fixed_text(nan, 3), "nan");
    EXPECT_EQ(exact_text(nan), "NaN");
  }
}

TEST(NumberText, ForProgramsReadsBackAsTheSameNumber) {
  for (const double x : {1.0 / 3, 1e300, 5e-324, 0.0, -2.5, kInfinity, -kInfinity})
    EXPECT_EQ(std::strtod(exact_text(x).c_str(), nullptr), x) << exact_text(x);
  EXPECT_EQ(exact_text(kInfinity), "Infinity");
  EXPECT_EQ(exact_text(-kInfinity), "-Infinity");
}

}  // namespace
}  // namespace halftone
