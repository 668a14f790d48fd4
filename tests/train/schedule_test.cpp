#include "halftone/train/schedule.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

TEST(Schedule, WarmsUpAndComesDownAsHuggingFaceDoes) {
  TrainSettings s{.learning_rate = 1, .warmup_steps = 10};
  s.lr_scheduler_type = LrScheduler::cosine;
  EXPECT_EQ(learning_rate_at(0, 110, s), 0);
  EXPECT_NEAR(learning_rate_at(5, 110, s), 0.5, 1e-12);
  EXPECT_NEAR(learning_rate_at(10, 110, s), 1, 1e-12);
  EXPECT_NEAR(learning_rate_at(60, 110, s), 0.5, 1e-12);
  EXPECT_NEAR(learning_rate_at(110, 110, s), 0, 1e-12);
  s.lr_scheduler_type = LrScheduler::linear;
  EXPECT_NEAR(learning_rate_at(35, 110, s), 0.75, 1e-12);
  s.lr_scheduler_type = LrScheduler::constant;
  EXPECT_EQ(learning_rate_at(109, 110, s), 1);
}

TEST(Schedule, AStepBeyondTheLastStaysWhereTheLastIs) {
  TrainSettings s{.learning_rate = 1, .warmup_steps = 10};
  s.lr_scheduler_type = LrScheduler::linear;
  EXPECT_EQ(learning_rate_at(200, 110, s), 0);
  EXPECT_EQ(learning_rate_at(10, 10, s), 1);  // nothing behind the warm-up
}

}  // namespace
}  // namespace halftone
