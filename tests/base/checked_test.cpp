#include "halftone/base/checked.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "halftone/base/error.h"

namespace halftone {
namespace {

TEST(Checked, OverflowsAreErrorsThatNameTheirField) {
  EXPECT_EQ(checked_mul(1u << 31, 8, "x"), uint64_t{1} << 34);
  EXPECT_EQ(checked_align_up(33, 32, "x"), 64u);
  EXPECT_EQ((checked_narrow<int32_t>(int64_t{-5}, "x")), -5);
  for (const auto& overflow : std::vector<std::function<void()>>{
           [] { checked_mul(uint64_t{1} << 33, uint64_t{1} << 33, "dims"); },
           [] { checked_add(~uint64_t{0}, 1, "dims"); },
           [] { checked_align_up(~uint64_t{0} - 3, 32, "dims"); },
           [] { checked_narrow<int32_t>(int64_t{1} << 40, "dims"); },
           [] { checked_narrow<uint32_t>(int64_t{-1}, "dims"); }}) {
    try {
      overflow();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::format);
      EXPECT_NE(std::string(error.what()).find("dims"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace halftone
