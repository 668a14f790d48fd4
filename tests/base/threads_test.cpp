#include "halftone/base/threads.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "halftone/base/error.h"

namespace halftone {
namespace {

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

TEST(ParallelFor, VisitsEveryBlockOnceAlsoInsideAnotherCall) {
  std::vector<int> visits(1000);
  parallel_for(10, 1, [&](int64_t outer, int64_t) {
    parallel_for(100, 7, [&](int64_t begin, int64_t end) {
      EXPECT_TRUE(begin % 7 == 0 && (end - begin == 7 || end == 100)) << begin << " " << end;
      for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(100 * outer + i)];
    });
  });
  EXPECT_EQ(visits, std::vector<int>(1000, 1));
  parallel_for(0, 4, [](int64_t, int64_t) { FAIL() << "a block of nothing"; });
}

}  // namespace
}  // namespace halftone
