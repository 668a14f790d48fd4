#include "halftone/train/warm_start.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "compress/compress_testing.h"
#include "halftone/base/error.h"
#include "halftone/compress/onebit_start.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

using testing::equal;

class WarmStartTest : public PtqTest {
 protected:
  WarmStartTest() {
    how_.settings = {.steps = 25, .learning_rate = 4e-3};
    how_.train.per_device_train_batch_size = 4;
    student_ = started();
  }

  Decoder started() {
    Decoder out = build_decoder(decoder_spec(tiny_config()), trainable_copy(weights_of(model_)));
    Calibration teacher = calibration_;
    targets_.clear();
    for (size_t i = 0; i < 2; ++i)
      targets_.push_back(teacher.inputs = run_block(model_, i, teacher));
    start_onebit(out, {.post_layer_norm = false, .foldable = true});
    return out;
  }

  Decoder student_;
  std::vector<Tensor> targets_;  // of each block
  WarmStart how_;
};

TEST_F(WarmStartTest, EachBlockComesNearerToItsTeacherFromWhatThoseBeforeItGive) {
  for (const HiddenKind kind : {HiddenKind::normalised, HiddenKind::mse}) {
    how_.error = kind;
    Decoder student = started();
    Calibration inputs = calibration_;
    for (size_t i = 0; i < 2; ++i) {
      const Calibration before = inputs;
      const WarmStartedBlock block = warm_start_block(student, i, inputs, targets_[i], how_);
      EXPECT_TRUE(block.kept);
      EXPECT_LT(block.after, 0.8 * block.before) << i;
      EXPECT_TRUE(equal(inputs.inputs, run_block(student, i, before))) << i;
    }
  }
}

TEST_F(WarmStartTest, TheSameBitsComeOutAgainAndNoOtherBlockChanges) {
  Decoder again = started();
  const Weights before = trainable_copy(weights_of(student_));
  Calibration one = calibration_, two = calibration_;
  warm_start_block(student_, 0, one, targets_[0], how_);
  warm_start_block(again, 0, two, targets_[0], how_);
  int changed = 0;
  for (const auto& [name, tensor] : weights_of(student_)) {
    EXPECT_TRUE(equal(tensor, weights_of(again).at(name))) << name;
    const bool same = equal(tensor, before.at(name));
    EXPECT_TRUE(same || name.starts_with("model.layers.0.")) << name;
    changed += !same;
  }
  EXPECT_EQ(changed, 16);  // signs and scales of seven linears, two norms
}

TEST_F(WarmStartTest, ABlockThatCameNoNearerStaysAsItWas) {
  how_.settings.learning_rate = 50;
  const Weights before = trainable_copy(weights_of(student_));
  Calibration inputs = calibration_;
  const Tensor outputs = run_block(student_, 0, inputs);
  EXPECT_FALSE(warm_start_block(student_, 0, inputs, targets_[0], how_).kept);
  for (const auto& [name, tensor] : weights_of(student_))
    EXPECT_TRUE(equal(tensor, before.at(name))) << name;
  EXPECT_TRUE(equal(inputs.inputs, outputs));
}

TEST_F(WarmStartTest, ABatchHasNoWindowTwice) {
  Decoder again = started();
  Calibration one = calibration_, two = calibration_;
  how_.train.per_device_train_batch_size = kSequences;
  warm_start_block(student_, 0, one, targets_[0], how_);
  how_.train.per_device_train_batch_size = 1000;
  warm_start_block(again, 0, two, targets_[0], how_);
  EXPECT_TRUE(equal(one.inputs, two.inputs));
}

TEST_F(WarmStartTest, EachStepCanBeTheLast) {
  int64_t asked = 0;
  how_.go_on = [&] {
    if (++asked == 3) throw std::runtime_error("enough");
  };
  Calibration inputs = calibration_;
  EXPECT_THROW(warm_start_block(student_, 0, inputs, targets_[0], how_), std::runtime_error);
  EXPECT_EQ(asked, 3);
}

TEST(WarmStartedBlocks, AreCarriedByCheckpoints) {
  const std::vector<WarmStartedBlock> blocks{
      {.before = 0.5, .after = 0.1, .kept = true, .seconds = 2},
      {.before = 0.25, .after = INFINITY, .kept = false, .seconds = 3}};
  EXPECT_EQ(warm_start_json(blocks),
            "{\"seconds\":5.0,\"blocks\":["
            "{\"before\":0.5,\"after\":0.1,\"kept\":true,\"seconds\":2.0},"
            "{\"before\":0.25,\"after\":\"Infinity\",\"kept\":false,\"seconds\":3.0}]}");
  CheckpointContent content;
  EXPECT_TRUE(warm_started_blocks(content).empty());
  content.meta["warm_start"] = warm_start_json(blocks);
  const auto found = warm_started_blocks(content);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].after, 0.1);
  EXPECT_TRUE(found[0].kept);
  EXPECT_EQ(found[1].after, INFINITY);
  EXPECT_FALSE(found[1].kept);
  for (const char* text : {"[]", "{\"blocks\":[{\"before\":1}]}",
                           "{\"blocks\":[{\"before\":\"x\",\"after\":1,\"kept\":true}]}"}) {
    content.meta["warm_start"] = text;
    try {
      warm_started_blocks(content);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::checkpoint);
    }
  }
}

}  // namespace
}  // namespace halftone
