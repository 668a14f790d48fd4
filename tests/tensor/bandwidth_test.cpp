#include "halftone/tensor/bandwidth.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

TEST(Bandwidth, IsThatOfAMemory) {
  const double rate = read_bandwidth();
  EXPECT_GT(rate, 1e8);
  EXPECT_LT(rate, 1e13);
}

}  // namespace
}  // namespace halftone
