#include "halftone/model/export_onebit.h"

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/rng.h"
#include "halftone/io/safetensors.h"
#include "halftone/io/strict_json.h"
#include "halftone/tensor/arithmetic.h"
#include "halftone/tensor/numbers.h"
#include "halftone/tensor/packed_signs.h"
#include "io/file_builders.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using testing::equal;
using testing::TemporaryDirectory;

const std::string kReleased = HALFTONE_SOURCE_DIR "/tests/fixtures/onebit_released";
const std::string kUp = "model.layers.1.mlp.up_proj";

Tensor normal(Shape shape, double mean, uint64_t seed) {
  Tensor out = Tensor::full(shape, DType::f32, mean);
  Tensor noise = out.like();
  Rng rng(seed, RngStream::test);
  fill_normal(noise, 0.3, rng);
  for (int64_t i = 0; i < out.numel(); ++i) out.data<float>()[i] += noise.data<float>()[i];
  return out;
}

// Every linear a OneBit layer with scales that F16 does not hold.
LoadedModel onebit_model(ModelConfig config, bool post_layer_norm = true) {
  LoadedModel model;
  model.config = std::move(config);
  const DecoderSpec spec = decoder_spec(model.config);
  model.decoder = build_decoder(spec, random_weights(spec, 3));
  uint64_t seed = 0;
  model.decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    const Tensor latent = linear->dense_weight();
    const Tensor in_scale = normal({latent.dim(1)}, 1, ++seed),
                 out_scale = normal({latent.dim(0)}, 0.5, ++seed);
    Tensor bias = linear->bias.value;
    if (bias.defined()) bias = normal(bias.shape(), 0, ++seed);
    linear = std::make_unique<OneBitLinear>(linear->name, latent, in_scale, out_scale, bias,
                                            OneBitOptions{.post_layer_norm = post_layer_norm});
  });
  return model;
}

Tensor logits_of(LoadedModel& model, const std::vector<int32_t>& ids = {1, 7, 39, 0, 12, 30, 2}) {
  Tape tape(Tape::Mode::no_grad);
  return model.decoder.logits(model.decoder.hidden(tape, ids, 1).value());
}

// The text of the Error(recipe) that the export ends with.
std::string refusal(LoadedModel& model, const std::string& directory) {
  try {
    export_onebit(model, {}, directory);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::recipe);
    return error.what();
  }
  return "";
}

TEST(ExportOneBit, WritesTheReleasedLayout) {
  const TemporaryDirectory folder;
  LoadedModel model = onebit_model(testing::tiny_config());
  const Weights before = weights_of(model.decoder);
  const ExportSummary summary =
      export_onebit(model, {{{"tokenizer.json", "{}"}}}, folder.file("out"));
  const Safetensors file = read_safetensors(folder.file("out/model.safetensors"));
  EXPECT_EQ(file.tensors.size(), 14u * 3 + 4 + 3);  // linears, norms; norm, embedding, head
  EXPECT_EQ(summary.tensors, 49);
  EXPECT_EQ(file.int8.size(), 14u);
  const Tensor& bits = file.tensors.at(kUp + ".weight");
  EXPECT_EQ(bits.shape(), (Shape{48, 4}));
  const Tensor& latent = before.at(kUp + ".weight");
  for (int64_t row = 0; row < 48; ++row)
    for (int64_t column = 0; column < 32; ++column)
      ASSERT_EQ(bits.data<uint8_t>()[row * 4 + column / 8] >> (column % 8) & 1,
                latent.data<float>()[row * 32 + column] < 0 ? 1 : 0);
  EXPECT_TRUE(equal(file.tensors.at(kUp + ".weight_scale"), before.at(kUp + ".out_scale")));
  EXPECT_TRUE(equal(file.tensors.at(kUp + ".input_factor"), before.at(kUp + ".in_scale")));
  EXPECT_TRUE(equal(file.tensors.at("lm_head.weight"), before.at("model.embed_tokens.weight")));
  const auto config = read_json_file(folder.file("out/config.json"), 1 << 20);
  EXPECT_EQ(config.at("model_type"), "bitllama");
  EXPECT_EQ(config.at("architectures").dump(), R"(["BitLlamaForCausalLMInf"])");
  EXPECT_EQ(config.at("tie_word_embeddings"), true);
  EXPECT_EQ(config.at("attention_bias"), false);
  EXPECT_EQ(testing::read_bytes(folder.file("out/tokenizer.json")), "{}");
}

TEST(ExportOneBit, IsReadAsTheSameModelAndWrittenAgainByteForByte) {
  for (const bool tied : {true, false}) {
    ModelConfig config = testing::tiny_config();
    config.tie_word_embeddings = tied;
    config.attention_bias = config.attention_output_bias = !tied;
    const TemporaryDirectory folder;
    LoadedModel model = onebit_model(config);
    export_onebit(model, {}, folder.file("out"));
    LoadedModel back = load_model(folder.file("out"), {.widen = true});
    EXPECT_EQ(back.config, config);
    EXPECT_EQ(linear_forms(back.decoder), linear_forms(model.decoder));
    EXPECT_FALSE(read_outline(folder.file("out")).dense);
    EXPECT_TRUE(equal(logits_of(back), logits_of(model)));
    export_onebit(back, {}, folder.file("again"));
    for (const char* name : {"/model.safetensors", "/config.json"})
      EXPECT_EQ(testing::read_bytes(folder.file("again") + name),
                testing::read_bytes(folder.file("out") + name));
  }
}

TEST(ExportOneBit, ACheckpointOfOthersGivesTheLogitsOfTheReferenceAndItsOwnBytesAgain) {
  LoadedModel model = load_model(kReleased);
  const auto reference = read_safetensors(kReleased + "/reference.safetensors").tensors;
  const Tensor &expected = reference.at("logits"),
               logits = logits_of(model, ids_of(reference.at("ids")));
  ASSERT_EQ(logits.shape(), expected.shape());
  double largest = 0;
  for (const double logit : values_of(expected)) largest = std::max(largest, std::abs(logit));
  for (int64_t i = 0; i < logits.numel(); ++i)
    ASSERT_NEAR(logits.data<float>()[i], expected.data<float>()[i], 1e-5 * largest) << i;

  const TemporaryDirectory folder;
  export_onebit(model, {}, folder.file("again"));
  EXPECT_EQ(testing::read_bytes(folder.file("again/model.safetensors")),
            testing::read_bytes(kReleased + "/model.safetensors"));
}

// What a model file holds: signs and scales in F16, without latent weights.
TEST(ExportOneBit, AFinalModelIsWrittenAndReadAsItIs) {
  const TemporaryDirectory folder;
  LoadedModel model = onebit_model(testing::tiny_config());
  write_checkpoint_file(folder.file("model.h5"), model_content(model.decoder, model.config));
  LoadedModel final = load_model(folder.file("model.h5"));
  export_onebit(final, {}, folder.file("out"));
  const auto tensors = read_safetensors(folder.file("out/model.safetensors")).tensors;
  const Weights before = weights_of(model.decoder);
  EXPECT_TRUE(equal(tensors.at(kUp + ".weight"), pack_signs(before.at(kUp + ".weight"))));
  EXPECT_TRUE(equal(tensors.at(kUp + ".weight_scale"),
                    before.at(kUp + ".out_scale").to(DType::f16).to(DType::f32)));
  LoadedModel back = load_model(folder.file("out"));
  EXPECT_TRUE(equal(logits_of(back), logits_of(final)));
  const CheckpointContent content = model_content(back.decoder, back.config);
  EXPECT_EQ(tensors_digest(stored_tensors(content.tensors)),
            tensors_digest(stored_tensors(read_checkpoint_file(folder.file("model.h5")).tensors)));
}

TEST(ExportOneBit, WhatTheLayoutCannotHoldIsRefusedBeforeAnythingIsWritten) {
  const TemporaryDirectory folder;
  const auto expect = [&](LoadedModel model, const std::string& phrase) {
    const std::string text = refusal(model, folder.file("out"));
    EXPECT_NE(text.find(phrase), text.npos) << text;
    EXPECT_TRUE(fs::is_empty(folder.path()));
  };
  expect(onebit_model(testing::tiny_config(), false),
         "'model.layers.0.self_attn.q_proj' has no layer normalisation behind it");
  LoadedModel mixed = onebit_model(testing::tiny_config());
  mixed.decoder.blocks[1].linears[SlotRole::up] =
      std::make_unique<Linear>(kUp, Tensor::zeros({48, 32}, DType::f32));
  expect(std::move(mixed), "'" + kUp + "' is of full precision");
  ModelConfig odd = testing::tiny_config();
  odd.intermediate_size = 44;
  expect(onebit_model(odd), "'model.layers.0.mlp.down_proj' reads 44 inputs, no multiple of 8");
  ModelConfig qwen = testing::tiny_config();
  qwen.architecture = "qwen2";
  expect(onebit_model(qwen), "family qwen2");
}

}  // namespace
}  // namespace halftone
