#include "halftone/compress/ptq.h"
#include "halftone/model/spec.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "halftone/base/rng.h"
#include "halftone/model/build.h"
#include "halftone/quant/methods.h"

namespace halftone {
namespace {

ModelConfig tiny_config() {
  ModelConfig c;
  c.hidden_size = 32;
  c.intermediate_size = 48;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 8;
  c.vocab_size = 40;
  c.tie_word_embeddings = true;
  return c;
}

class PtqTest : public ::testing::Test {
 protected:
  PtqTest() {
    const ModelConfig config = tiny_config();
    Weights weights = random_weights(decoder_spec(config), 3);
    for (auto& [name, tensor] : weights)  // louder than a start of training, so that blocks matter
      if (tensor.rank() == 2)
        for (int64_t i = 0; i < tensor.numel(); ++i) tensor.data<float>()[i] *= 8;
    model_ = build_decoder(decoder_spec(config), weights);
    Rng rng(1, 1);
    std::vector<int32_t> tokens(static_cast<size_t>(kSequences * kLength));
    for (int32_t& t : tokens) t = static_cast<int32_t>(rng.below(40));
    calibration_ = start_calibration(model_, tokens, kSequences);
  }

  static constexpr int64_t kSequences = 9, kLength = 24;
  Decoder model_;
  Calibration calibration_;
};

double distance(const Tensor& a, const Tensor& b) {
  double out = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    out = std::max(out, std::abs(static_cast<double>(a.data<float>()[i]) - b.data<float>()[i]));
  return out;
}

TEST_F(PtqTest, TheNextBlockSeesWhatTheQuantisedOneGives) {
  const Tensor inputs = calibration_.inputs;
  const BlockReport report = quantise_block(model_, 0, calibration_, ptq_method("gptq"), {});
  EXPECT_EQ(report.linears.size(), 7u);
  EXPECT_EQ(report.linears[0].name, "model.layers.0.self_attn.q_proj");
  for (const QuantisedLinear& linear : report.linears) {
    EXPECT_GT(linear.relative_error, 0) << linear.name;
    EXPECT_LT(linear.relative_error, 1) << linear.name;
  }
  Tape tape(Tape::Mode::no_grad);
  EXPECT_EQ(distance(model_.block(tape, 0, tape.constant(inputs), kSequences).value(),
                     calibration_.inputs),
            0);
}

TEST_F(PtqTest, TrueSequentialCalibratesLaterLinearsOnQuantisedEarlierOnes) {
  CompressSettings sequential;
  sequential.ptq.true_sequential = true;
  Calibration other = calibration_;
  Decoder twin = build_decoder(decoder_spec(tiny_config()), trainable_copy(weights_of(model_)));
  const auto together = quantise_block(model_, 0, calibration_, ptq_method("gptq"), {}).linears;
  const auto apart = quantise_block(twin, 0, other, ptq_method("gptq"), sequential).linears;
  EXPECT_EQ(apart.at(0).relative_error, together.at(0).relative_error);
  EXPECT_NE(apart.at(3).relative_error, together.at(3).relative_error);
}

TEST_F(PtqTest, WhatIsSavedRebuildsTheEvaluatedWeightsBitForBit) {
  quantise_block(model_, 0, calibration_, ptq_method("arb-rc"), {});
  quantise_block(model_, 1, calibration_, ptq_method("arb-rc"), {});
  Decoder back =
      build_decoder(decoder_spec(tiny_config()), packed_weights(model_), linear_forms(model_));
  int compared = 0;
  for (size_t block = 0; block < 2; ++block)
    for (const auto& [role, linear] : model_.blocks[block].linears) {
      EXPECT_EQ(
          distance(back.blocks[block].linears.at(role)->dense_weight(), linear->dense_weight()), 0);
      ++compared;
    }
  EXPECT_EQ(compared, 14);
}

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

}  // namespace
}  // namespace halftone
