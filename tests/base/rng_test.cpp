#include "halftone/base/rng.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace halftone {
namespace {

// Known answers of Random123 (philox4x32_10): zero and all-ones keys and counters.
TEST(Philox, GivesThePublishedNumbers) {
  EXPECT_EQ(philox(0, 0, 0),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint64_t ones = ~uint64_t{0};
  EXPECT_EQ(philox(ones, ones, ones),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Rng, ADrawDependsOnSeedStreamAndCounterAlone) {
  Rng a(1, RngStream::init), b(1, RngStream::init, 5);
  for (int i = 0; i < 5; ++i) a.next_u64();
  EXPECT_EQ(a.next_u64(), b.next_u64());
  EXPECT_NE(Rng(1, RngStream::init).next_u64(), Rng(2, RngStream::init).next_u64());
  EXPECT_NE(Rng(1, RngStream::init).next_u64(), Rng(1, RngStream::generate).next_u64());
}

TEST(Rng, NormalsHaveMeanZeroAndVarianceOne) {
  Rng rng(7, RngStream::test);
  double sum = 0, squares = 0;
  for (int i = 0; i < 100000; ++i) {
    const double x = rng.normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / 1e5, 0, 0.02);
  EXPECT_NEAR(squares / 1e5, 1, 0.02);
}

TEST(Permutation, HoldsEveryNumberOnce) {
  const auto order = permutation(1000, 4, 2);
  EXPECT_EQ(std::set<uint64_t>(order.begin(), order.end()).size(), 1000u);
  EXPECT_NE(order, permutation(1000, 5, 2));
}

}  // namespace
}  // namespace halftone
