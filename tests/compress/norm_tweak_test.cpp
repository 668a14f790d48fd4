#include "halftone/compress/norm_tweak.h"

#include <gtest/gtest.h>

#include "compress/compress_testing.h"

namespace halftone {
namespace {

TEST_F(PtqTest, NormTweakingWithoutIterationsIsTheIdentity) {
  const Tensor targets = calibration_.inputs.clone(),
               gain = model_.blocks[0].norms.at(SlotRole::attention_norm).gain.value.clone();
  const NormTweakReport report =
      tweak_norms(model_, 0, calibration_.inputs, targets, kSequences, {.iterations = 0});
  EXPECT_EQ(report.before, report.after);
  EXPECT_FALSE(report.kept);
  EXPECT_EQ(distance(model_.blocks[0].norms.at(SlotRole::attention_norm).gain.value, gain), 0);
}

TEST_F(PtqTest, NormTweakingLowersItsLossOnHeldOutSequences) {
  CompressSettings settings;
  settings.norm_tweak_present = true;
  settings.norm_tweak.learning_rate = 1e-2;
  settings.norm_tweak.iterations = 3;
  const auto report = quantise_block(model_, 0, calibration_, ptq_method("rtn"), settings);
  ASSERT_TRUE(report.tweak);
  EXPECT_LT(report.tweak->after, report.tweak->before);
  EXPECT_TRUE(report.tweak->kept);
}

TEST_F(PtqTest, AStepThatRaisesTheHeldOutLossIsTakenBack) {
  const Tensor gain = model_.blocks[0].norms.at(SlotRole::attention_norm).gain.value.clone();
  CompressSettings settings;
  settings.norm_tweak_present = true;
  settings.norm_tweak.learning_rate = 100;
  const auto report = quantise_block(model_, 0, calibration_, ptq_method("rtn"), settings);
  EXPECT_FALSE(report.tweak->kept);
  EXPECT_EQ(distance(model_.blocks[0].norms.at(SlotRole::attention_norm).gain.value, gain), 0);
}

TEST_F(PtqTest, NormTweakingNeedsASequenceToTrainOnAndOneToJudgeBy) {
  EXPECT_THROW(tweak_norms(model_, 0, calibration_.inputs, calibration_.inputs, 1, {}),
               std::invalid_argument);
}

}  // namespace
}  // namespace halftone
