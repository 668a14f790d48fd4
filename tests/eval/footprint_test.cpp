#include "halftone/eval/footprint.h"

#include "halftone/quant/rtn.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

using testing::tiny_decoder;

constexpr int64_t kLinears = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 48 * 32),
                  kParameters = kLinears + 40 * 32 + 5 * 32;

void replace_linears(Decoder& model,
                     const std::function<std::unique_ptr<LinearLike>(const LinearLike&)>& made) {
  model.visit_linears([&](std::unique_ptr<LinearLike>& linear) { linear = made(*linear); });
}

TEST(Footprint, ADenseModelHasSixteenBits) {
  Decoder model = tiny_decoder();
  const Footprint found = footprint(model, 2 * kParameters);
  EXPECT_EQ(found.parameters, kParameters);
  EXPECT_EQ(found.quantised_parameters, 0);
  EXPECT_EQ(found.paper_bits, 16);
  EXPECT_EQ(found.linear_bits, 16);
  EXPECT_EQ(found.file_bits, 16);
}

TEST(Footprint, OneBitCountsItsScalesAndNotAsParametersOfTheArchitecture) {
  Decoder model = tiny_decoder();
  double scales = 0;
  replace_linears(model, [&](const LinearLike& linear) {
    const Tensor w = linear.dense_weight();
    scales += static_cast<double>(w.dim(0) + w.dim(1));
    return std::make_unique<OneBitLinear>(linear.name, w, Tensor::zeros({w.dim(1)}, DType::f32),
                                          Tensor::zeros({w.dim(0)}, DType::f32), Tensor(),
                                          OneBitOptions());
  });
  const Footprint found = footprint(model, 10000);
  const auto weights = static_cast<double>(kLinears);
  EXPECT_EQ(found.parameters, kParameters);
  EXPECT_EQ(found.quantised_parameters, kLinears);
  EXPECT_DOUBLE_EQ(found.paper_bits, (weights + 16 * scales) / (weights + scales));
  EXPECT_DOUBLE_EQ(found.linear_bits, (weights + 16 * scales) / weights);  // whole bytes a row
  EXPECT_DOUBLE_EQ(found.file_bits, 80000.0 / kParameters);
}

TEST(Footprint, PackedSignsAreTheWeightsOfTheirLayer) {
  ModelConfig config = testing::tiny_config();
  config.hidden_size = config.intermediate_size = 64;
  config.head_dim = 16;
  const DecoderSpec spec = decoder_spec(config);
  Decoder model = build_decoder(spec, random_weights(spec, 3));
  replace_linears(model, [](const LinearLike& linear) {
    const Tensor w = linear.dense_weight();
    return std::make_unique<GroupScaledLinear>(
        linear.name, w, Tensor::full({w.dim(0), 1}, DType::f32, 0.5), Tensor(), Ste());
  });
  Decoder packed = build_decoder(spec, packed_weights(model), linear_forms(model));
  const Footprint expected = footprint(model, 10000), found = footprint(packed, 10000);
  EXPECT_EQ(expected.parameters, parameter_count(spec));
  EXPECT_EQ(found.parameters, expected.parameters);
  EXPECT_EQ(found.quantised_parameters, expected.quantised_parameters);
  EXPECT_EQ(found.linear_bits, expected.linear_bits);
  EXPECT_EQ(found.file_bits, expected.file_bits);
}

TEST(Footprint, OfAMethodIsWhatItsMatricesStore) {
  Decoder model = tiny_decoder();
  replace_linears(model, [](const LinearLike& linear) {
    return std::make_unique<LowBitLinear>(
        linear.name, rtn(linear.dense_weight(), {.bits = 4, .group_size = 16}), Tensor());
  });
  const Footprint found = footprint(model, 10000);
  EXPECT_EQ(found.parameters, kParameters);
  EXPECT_EQ(found.quantised_parameters, kLinears);
  EXPECT_DOUBLE_EQ(found.paper_bits, 4);
  EXPECT_DOUBLE_EQ(found.linear_bits, 4 + (16.0 + 4) / 16);
}

}  // namespace
}  // namespace halftone
