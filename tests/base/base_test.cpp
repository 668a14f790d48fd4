#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "halftone/base/checked.h"
#include "halftone/base/error.h"
#include "halftone/base/half.h"
#include "halftone/base/rng.h"
#include "halftone/base/sha256.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"

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

TEST(ParallelSum, HasTheSameBitsForAnyNumberOfThreads) {
  const auto sum = [] {
    return parallel_sum(100000, 777, [](int64_t begin, int64_t end) {
      double s = 0;
      for (int64_t i = begin; i < end; ++i) s += std::sin(static_cast<double>(i)) * 1e8;
      return s;
    });
  };
  const int before = threads();
  set_threads(1);
  const double one = sum();
  set_threads(3);
  const double three = sum();
  set_threads(before);
  EXPECT_EQ(std::memcmp(&one, &three, sizeof one), 0);
}

TEST(ParallelFor, AnExceptionReachesTheCaller) {
  EXPECT_THROW(parallel_for(100, 1,
                            [](int64_t i, int64_t) {
                              if (i == 57) throw Error(ErrorKind::io, "x");
                            }),
               Error);
}

TEST(Sha256, GivesThePublishedDigest) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Printable, EscapesAndCutsWhatComesFromFiles) {
  EXPECT_EQ(printable("a\nb"), "a\\x0ab");
  EXPECT_LT(printable(std::string(5000, 'x')).size(), 200u);
}

}  // namespace
}  // namespace halftone
