#include "halftone/tensor/mark.h"

#include <gtest/gtest.h>

#include <thread>

namespace halftone {
namespace {

// Those of a GPU: in the traces of runs there.
TEST(Mark, OfTheCpuIsItsClock) {
  const Mark first = Mark::now(Device::cpu);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  const Mark second = Mark::now(Device::cpu);
  EXPECT_GE(second.microseconds_since(first), 2000);
  EXPECT_DOUBLE_EQ(first.microseconds_since(second), -second.microseconds_since(first));
  EXPECT_EQ(first.microseconds_since(first), 0);
}

TEST(Mark, OfTwoDevicesHaveNoTimeBetweenThem) {
  const Mark of_gpu(std::make_shared<int>(0));
  EXPECT_THROW(of_gpu.microseconds_since(Mark::now(Device::cpu)), std::invalid_argument);
  EXPECT_THROW(Mark::now(Device::cpu).microseconds_since(of_gpu), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
