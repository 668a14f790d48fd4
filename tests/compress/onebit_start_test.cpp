#include "halftone/compress/onebit_start.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "halftone/quant/latent.h"
#include "halftone/quant/svid.h"
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
  Decoder student = tiny_decoder();
  start_onebit(student, {});
  EXPECT_THROW(start_onebit(student, {}), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
