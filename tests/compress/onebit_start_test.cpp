#include "halftone/compress/onebit_start.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "compress/compress_testing.h"
#include "halftone/base/error.h"
#include "halftone/quant/latent.h"
#include "halftone/quant/svid.h"
#include "halftone/quant/tied_scales.h"
#include "halftone/tensor/numbers.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

using testing::equal;
using testing::tiny_decoder;

const OneBitLinear& onebit(const Decoder& model, size_t block, SlotRole role) {
  return dynamic_cast<const OneBitLinear&>(*model.blocks[block].linears.at(role));
}

TEST(OneBitStart, EveryLinearOfTheBlocksStartsFromItsDecomposition) {
  Decoder teacher = tiny_decoder(), student = tiny_decoder();
  const double error = start_onebit(student, {.post_layer_norm = false});
  double sum = 0;
  int count = 0;
  for (size_t b = 0; b < 2; ++b)
    for (const auto& [role, linear] : teacher.blocks[b].linears) {
      const OneBitLinear& found = onebit(student, b, role);
      const Svid factors = svid(linear->dense_weight());
      EXPECT_EQ(found.name, linear->name);
      EXPECT_EQ(found.form(), "onebit");
      EXPECT_TRUE(equal(found.in_scale.value, factors.in_scale)) << linear->name;
      EXPECT_TRUE(equal(found.out_scale.value, factors.out_scale)) << linear->name;
      EXPECT_TRUE(equal(found.latent.value, magnitude_latent(linear->dense_weight(), 0.02)));
      sum += factors.relative_error;
      ++count;
    }
  EXPECT_EQ(count, 14);
  EXPECT_NEAR(error, sum / count, 1e-12);
}

TEST(OneBitStart, OnlyTheLinearsOfTheBlocksChange) {
  Decoder teacher = tiny_decoder(), student = tiny_decoder();
  start_onebit(student, {});
  const Weights before = weights_of(teacher), after = weights_of(student);
  int same = 0;
  for (const auto& [name, tensor] : before)
    if (name.find("_proj") == name.npos) same += equal(after.at(name), tensor);
  EXPECT_EQ(same, 6);  // the embedding and five norms
}

TEST(OneBitStart, TheSignsAloneCanBeTheStart) {
  Decoder teacher = tiny_decoder(), student = tiny_decoder();
  start_onebit(student,
               {.latent_init = LatentInit::sign, .latent_scale = 0.25, .ste = Ste::clipped});
  const OneBitLinear& found = onebit(student, 1, SlotRole::up);
  EXPECT_TRUE(equal(found.latent.value,
                    sign_latent(teacher.blocks[1].linears.at(SlotRole::up)->dense_weight(), 0.25)));
  EXPECT_EQ(found.options.ste, Ste::clipped);
  EXPECT_TRUE(found.options.post_layer_norm);
}

TEST(OneBitStart, WhatIsQuantisedAlreadyIsRefused) {
  for (const StudentSettings& settings :
       {StudentSettings{}, StudentSettings{.post_layer_norm = false, .foldable = true}}) {
    Decoder student = tiny_decoder();
    start_onebit(student, settings);
    EXPECT_THROW(start_onebit(student, settings), std::invalid_argument);
  }
}

const GroupScaledLinear& scaled(const Decoder& model, size_t block, SlotRole role) {
  return dynamic_cast<const GroupScaledLinear&>(*model.blocks[block].linears.at(role));
}

TEST(OneBitStart, AGroupStartsFromItsMeanMagnitude) {
  Decoder teacher = tiny_decoder(), student = tiny_decoder();
  start_onebit(student, {.post_layer_norm = false, .ste = Ste::clipped, .scale_group = 16});
  for (size_t b = 0; b < 2; ++b)
    for (const auto& [role, linear] : teacher.blocks[b].linears) {
      const GroupScaledLinear& found = scaled(student, b, role);
      const Tensor w = linear->dense_weight();
      const Tensor ones = Tensor::full({w.dim(1)}, DType::f32, 1);
      EXPECT_EQ(found.form(), "onebit group 16");
      EXPECT_TRUE(equal(found.out_scale.value, group_scales(w, ones, 16).scales)) << linear->name;
      EXPECT_TRUE(equal(found.latent.value, magnitude_latent(w, 0.02)));
      EXPECT_EQ(found.ste, Ste::clipped);
    }
  EXPECT_TRUE(equal(weights_of(student).at("model.layers.0.input_layernorm.weight"),
                    weights_of(teacher).at("model.layers.0.input_layernorm.weight")));
}

double mean_square(const std::vector<Tensor>& all) {
  double sum = 0, count = 0;
  for (const Tensor& x : all)
    for (const double v : values_of(x)) {
      sum += v * v;
      ++count;
    }
  return sum / count;
}

TEST(OneBitStart, FoldedScalesAndWhatTakesTheirInputScaleAreOfOneSize) {
  Decoder student = tiny_decoder();
  start_onebit(student, {.post_layer_norm = false, .foldable = true});
  const auto c = [&](SlotRole role) { return scaled(student, 1, role).out_scale.value; };
  EXPECT_NEAR(mean_square({c(SlotRole::o)}) / mean_square({c(SlotRole::v)}), 1, 1e-5);
  EXPECT_NEAR(mean_square({c(SlotRole::down)}) / mean_square({c(SlotRole::up)}), 1, 1e-5);
}

// What the students of a teacher give for its calibration windows.
class OneBitStartOnWindows : public PtqTest {
 protected:
  // Some inputs are louder than others, as in trained models.
  OneBitStartOnWindows() {
    for (auto& [role, norm] : model_.blocks[0].norms)
      for (int64_t j = 0; j < norm.gain.value.numel(); ++j)
        norm.gain.value.data<float>()[j] *= j % 4 == 0 ? 2.0f : 0.7f;
  }

  Decoder student(StudentSettings settings, StudentStart start) {
    settings.start = start;
    Decoder out = build_decoder(decoder_spec(tiny_config()), trainable_copy(weights_of(model_)));
    float_outputs_.clear();
    start_onebit(out, settings, calibration_,
                 [&](size_t, const Tensor& outputs) { float_outputs_.push_back(outputs); });
    return out;
  }
  // Of the first block, whose inputs are the teacher's.
  double error(Decoder& student) {
    const auto found = values_of(run_block(student, 0, calibration_)),
               expected = values_of(float_outputs_.at(0));
    double sum = 0;
    for (size_t i = 0; i < found.size(); ++i)
      sum += (found[i] - expected[i]) * (found[i] - expected[i]);
    return sum;
  }

  std::vector<Tensor> float_outputs_;
};

TEST_F(OneBitStartOnWindows, RefinedScalesAndSignsLoseLessAtTheOutputsOfABlock) {
  for (const bool foldable : {false, true})
    for (const int64_t group : {0, 16}) {
      const StudentSettings settings{
          .post_layer_norm = false, .scale_group = group, .foldable = foldable};
      Decoder plain = student(settings, StudentStart::svid),
              refined = student(settings, StudentStart::arb_rc);
      EXPECT_LT(error(refined), 0.8 * error(plain)) << foldable << ' ' << group;
    }
}

TEST_F(OneBitStartOnWindows, LatentWeightsKeepTheirMagnitudesAndSomeTurn) {
  Decoder plain = student({}, StudentStart::svid), refined = student({}, StudentStart::arb_rc);
  for (const auto& [role, linear] : plain.blocks[1].linears) {
    const auto before = values_of(onebit(plain, 1, role).latent.value),
               after = values_of(onebit(refined, 1, role).latent.value);
    size_t turned = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(std::abs(after[i]), std::abs(before[i]));
      turned += after[i] != before[i];
    }
    EXPECT_GT(turned, 0u) << linear->name;
    EXPECT_LT(turned, before.size() / 2) << linear->name;
  }
}

TEST_F(OneBitStartOnWindows, WithoutRefiningTheStartIsThatWithoutWindows) {
  for (const bool foldable : {false, true}) {
    const StudentSettings settings{.post_layer_norm = false, .foldable = foldable};
    Decoder found = student(settings, StudentStart::svid),
            expected =
                build_decoder(decoder_spec(tiny_config()), trainable_copy(weights_of(model_)));
    start_onebit(expected, settings);
    for (const auto& [name, tensor] : weights_of(expected))
      EXPECT_TRUE(equal(weights_of(found).at(name), tensor)) << name;
  }
}

TEST_F(OneBitStartOnWindows, EachBlockIsToldWithWhatTheTeacherGives) {
  student({}, StudentStart::arb_rc);
  ASSERT_EQ(float_outputs_.size(), 2u);
  Calibration calibration = calibration_;
  for (size_t i = 0; i < 2; ++i) {
    calibration.inputs = run_block(model_, i, calibration);
    EXPECT_TRUE(equal(float_outputs_[i], calibration.inputs));
  }
}

TEST(OneBitStart, WithoutWindowsThereIsNothingToRefineOn) {
  Decoder student = tiny_decoder();
  EXPECT_THROW(start_onebit(student, {.start = StudentStart::arb_rc}), std::invalid_argument);
}

std::string fault(const DecoderSpec& spec, const StudentSettings& settings) {
  try {
    check_student(spec, settings);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::recipe);
    return error.what();
  }
  return "";
}

TEST(OneBitStart, RowsThatAreNoMultipleOfTheGroupAreNamed) {
  DecoderSpec spec = decoder_spec(testing::tiny_config());
  EXPECT_EQ(fault(spec, {.post_layer_norm = false, .scale_group = 32}),
            "student.scale_group: found 32, but 'model.layers.0.mlp.down_proj' has 48 inputs, a "
            "multiple expected");
  EXPECT_EQ(fault(spec, {.post_layer_norm = false, .scale_group = 16}), "");
}

TEST(OneBitStart, AnActivationThatFactorsDoNotPassIsNoPlaceToFold) {
  DecoderSpec spec = decoder_spec(testing::tiny_config());
  for (BlockSpec& block : spec.blocks)
    std::erase_if(block.slots, [](const Slot& slot) { return slot.role == SlotRole::gate; });
  const StudentSettings folded{.post_layer_norm = false, .foldable = true};
  EXPECT_EQ(fault(spec, folded)
                .find("student.foldable: found true, false expected: "
                      "'model.layers.0.mlp.down_proj' has an activation"),
            0u);
  for (BlockSpec& block : spec.blocks) block.activation = Activation::relu;
  EXPECT_EQ(fault(spec, folded), "");
}

}  // namespace
}  // namespace halftone
