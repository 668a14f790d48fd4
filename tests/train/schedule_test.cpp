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

TEST(Schedule, LatentWeightsFollowItOverTheirShareOfTheStepsAndStay) {
  TrainSettings s{.learning_rate = 1, .warmup_steps = 10, .freeze_signs_at = 0.6};
  for (const LrScheduler kind : {LrScheduler::linear, LrScheduler::cosine, LrScheduler::constant}) {
    s.lr_scheduler_type = kind;
    for (const int64_t step : {5, 10, 40, 59})
      EXPECT_NEAR(latent_lr_mult_at(step, 100, s) * learning_rate_at(step, 100, s),
                  learning_rate_at(step, 60, s), 1e-15);
    for (const int64_t step : {60, 61, 99, 100}) EXPECT_EQ(latent_lr_mult_at(step, 100, s), 0);
  }
  s.freeze_signs_at = 1;
  EXPECT_EQ(latent_lr_mult_at(37, 100, s), 1);
  EXPECT_EQ(latent_lr_mult_at(100, 100, s), 1);
}

}  // namespace
}  // namespace halftone
