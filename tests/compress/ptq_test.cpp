#include "halftone/compress/ptq.h"

#include <gtest/gtest.h>

#include "compress/compress_testing.h"

namespace halftone {
namespace {

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

}  // namespace
}  // namespace halftone
