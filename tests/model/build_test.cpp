#include "halftone/model/build.h"

#include <cmath>
#include <string>

#include "halftone/base/error.h"
#include "halftone/quant/rtn.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

using testing::equal;
using testing::tiny_config;
using testing::tiny_decoder;

const std::string kUp = "model.layers.1.mlp.up_proj";

TEST(Build, WeightsGoInAndComeOutUnderTheirNamesWithoutACopy) {
  const DecoderSpec spec = decoder_spec(tiny_config());
  const Weights weights = random_weights(spec, 3);
  Decoder decoder = build_decoder(spec, weights);
  const Weights out = weights_of(decoder);
  ASSERT_EQ(out.size(), weights.size());
  for (const auto& [name, tensor] : weights)
    EXPECT_EQ(std::as_const(out.at(name)).raw(), std::as_const(tensor).raw()) << name;
}

TEST(Build, ATensorThatIsMissingOrOfAnotherShapeIsNamed) {
  const DecoderSpec spec = decoder_spec(tiny_config());
  for (const std::string& name : {kUp + ".weight", std::string("model.norm.weight"),
                                  std::string("model.embed_tokens.weight")})
    for (const bool missing : {false, true}) {
      Weights weights = random_weights(spec, 3);
      weights[name] = Tensor::zeros({3, 5}, DType::f32);
      if (missing) weights.erase(name);
      try {
        build_decoder(spec, weights);
        FAIL() << name;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::format);
        EXPECT_NE(std::string(error.what()).find("'" + name + "'"), std::string::npos);
      }
    }
}

TEST(Build, RandomWeightsAreSmallNormalsAndNormsThatDoNothing) {
  const DecoderSpec spec = decoder_spec(tiny_config());
  const Weights a = random_weights(spec, 3), b = random_weights(spec, 3),
                c = random_weights(spec, 4);
  double squares = 0, count = 0;
  for (const auto& [name, tensor] : a) {
    EXPECT_TRUE(equal(tensor, b.at(name))) << name;
    EXPECT_EQ(equal(tensor, c.at(name)), tensor.rank() == 1) << name;
    for (int64_t i = 0; i < tensor.numel(); ++i) {
      const double x = tensor.data<float>()[i];
      if (tensor.rank() == 1) {
        EXPECT_EQ(x, 1);
      } else {
        squares += x * x;
      }
    }
    if (tensor.rank() == 2) count += static_cast<double>(tensor.numel());
  }
  EXPECT_NEAR(std::sqrt(squares / count), 0.02, 5e-4);
}

TEST(Build, ATrainableCopyIsItsOwnAndInF32) {
  const Weights weights{{"a", Tensor::of<float>({2}, {1, 2})},
                        {"b", Tensor::of<float>({2}, {3, 4}).to(DType::f16)}};
  Weights copy = trainable_copy(weights);
  copy["a"].fill(9);
  EXPECT_EQ(weights.at("a").data<float>()[0], 1);
  EXPECT_EQ(copy["b"].dtype(), DType::f32);
  EXPECT_EQ(copy["b"].data<float>()[1], 4);
}

TEST(Build, WhatIsPackedOfAMixedModelBuildsItAgain) {
  Decoder decoder = tiny_decoder();
  const Tensor w = random_weights(decoder.spec, 9).at(kUp + ".weight");
  decoder.blocks[1].linears[SlotRole::up] =
      std::make_unique<LowBitLinear>(kUp, rtn(w, {.bits = 4, .group_size = 16}), Tensor());
  const Weights packed = packed_weights(decoder);
  EXPECT_FALSE(packed.contains(kUp + ".weight"));
  EXPECT_TRUE(packed.contains(kUp + ".codes"));
  EXPECT_EQ(packed.at("model.embed_tokens.weight").dtype(), DType::f16);
  EXPECT_EQ(packed.at("model.norm.weight").dtype(), DType::f32);
  const LinearForms forms = linear_forms(decoder);
  EXPECT_EQ(forms, (LinearForms{{kUp, "uniform 4 16 0 0"}}));
  Decoder back = build_decoder(decoder.spec, packed, forms);
  EXPECT_TRUE(equal(back.blocks[1].linears.at(SlotRole::up)->dense_weight(),
                    decoder.blocks[1].linears.at(SlotRole::up)->dense_weight()));
  const Weights again = packed_weights(back);
  ASSERT_EQ(again.size(), packed.size());
  for (const auto& [name, tensor] : packed) EXPECT_TRUE(equal(again.at(name), tensor)) << name;
}

}  // namespace
}  // namespace halftone
