#include "halftone/compress/onebit_start.h"

#include <gtest/gtest.h>

#include <stdexcept>

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
