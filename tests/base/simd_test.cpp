#include "halftone/base/simd.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace halftone {
namespace {

// Puts back what the tests change.
struct KeepIsa {
  const Isa before = isa();
  ~KeepIsa() { set_isa(before); }
};

TEST(Simd, NothingAboveWhatTheCpuHasIsChosen) {
  const KeepIsa keep;
  EXPECT_LE(isa(), cpu_isa());
  set_isa(Isa::avx512);
  EXPECT_LE(isa(), cpu_isa());
  set_isa(Isa::baseline);
  EXPECT_EQ(isa(), Isa::baseline);
}

TEST(Simd, EveryInstructionSetRunsTheWholeLoop) {
  const KeepIsa keep;
  for (const Isa chosen : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    set_isa(chosen);
    std::vector<int32_t> y(1003, 1);
    simd([&]() HT_INLINE {
      for (size_t i = 0; i < y.size(); ++i) y[i] += 2 * static_cast<int32_t>(i);
    });
    for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], 1 + 2 * static_cast<int32_t>(i));
  }
}

TEST(Simd, NamesAreThoseOfTheVariableThatLowersTheChoice) {
  EXPECT_EQ(isa_name(Isa::baseline), std::string("baseline"));
  EXPECT_EQ(isa_name(Isa::avx2), std::string("avx2"));
  EXPECT_EQ(isa_name(Isa::avx512), std::string("avx512"));
}

}  // namespace
}  // namespace halftone
