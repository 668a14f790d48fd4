#include "halftone/tensor/exchange.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

// Between ranks: tests/ranks, whose runs send their gradients and values so.
TEST(Exchange, OneRankHasNothingToWaitFor) {
  const Exchange exchange({}, Device::cpu);
  const auto transfer = exchange.start(1, {}, {});
  EXPECT_TRUE(transfer->arrived());
  transfer->wait();
  require_exchange({}, Device::cuda);  // nor to refuse
}

TEST(Exchange, EachRankHasAPieceOfWhatIsExchangedTogether) {
  EXPECT_EQ(exchanged_numbers(Device::cpu, 2), 1 << 20);
  EXPECT_EQ(exchanged_numbers(Device::cuda, 2), 1 << 23);
  EXPECT_EQ(exchanged_numbers(Device::cpu, 4096), int64_t{4096} << 14);
}

}  // namespace
}  // namespace halftone
