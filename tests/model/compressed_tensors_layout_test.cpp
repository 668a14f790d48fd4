// Directories in the compressed-tensors layout: what is read, and what is refused by name.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "halftone/io/safetensors.h"
#include "halftone/io/strict_json.h"
#include "halftone/model/export_compressed_tensors.h"
#include "halftone/model/load.h"
#include "io/file_builders.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

using testing::equal;
using testing::expect_refused;
using Json = nlohmann::json;

const std::string kUp = "model.layers.1.mlp.up_proj";
const std::string kWeights = "quantization_config.config_groups.group_0.weights";

// Linears with a scale for each group of inputs, or for a row (0).
LoadedModel student(int64_t group, double step = 0.25) {
  LoadedModel model;
  model.config = testing::tiny_config();
  model.config.hidden_size = 64;
  model.config.head_dim = 16;
  model.config.intermediate_size = 128;
  const DecoderSpec spec = decoder_spec(model.config);
  model.decoder = build_decoder(spec, random_weights(spec, 3));
  model.decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    const Tensor latent = linear->dense_weight();
    Tensor scale =
        Tensor::uninitialized({latent.dim(0), group > 0 ? latent.dim(1) / group : 1}, DType::f32);
    for (int64_t i = 0; i < scale.numel(); ++i)
      scale.data<float>()[i] = static_cast<float>(0.125 + step * static_cast<double>(i % 5));
    linear = std::make_unique<GroupScaledLinear>(linear->name, latent, scale, Tensor(), Ste{});
  });
  return model;
}

Tensor logits(LoadedModel& model) {
  Tape tape(Tape::Mode::no_grad);
  const std::vector<int32_t> ids = {1, 7, 39, 0, 12, 30, 2};
  return model.decoder.logits(model.decoder.hidden(tape, ids, 1).value());
}

// An exported directory, spoilt by the test.
class CompressedTensors : public ::testing::Test {
 protected:
  void write(int64_t group, double step = 0.25) {
    model_ = student(group, step);
    export_compressed_tensors(model_, {}, path_);
    for (const auto& [name, tensor] : read_safetensors(path_ + "/model.safetensors").tensors)
      tensors_[name] = tensor.clone();
    config_ = read_json_file(path_ + "/config.json", 1 << 20);
  }
  LoadedModel load() {
    rewrite();
    return load_model(path_);
  }
  void expect(const std::string& phrase) {
    rewrite();
    expect_refused(phrase, [&] { load_model(path_); });
    expect_refused(phrase, [&] { read_outline(path_); });
  }
  void rewrite() const {
    write_safetensors(path_ + "/model.safetensors", tensors_, {{"format", "pt"}});
    directory_.write("out/config.json", config_.dump());
  }
  // A refused quantization_config: `set` changes it.
  template <class Set>
  void expect_config(const std::string& phrase, const Set& set) {
    const Json before = config_;
    Json& config = config_.at("quantization_config");
    set(config, config.at("config_groups").at("group_0"));
    expect(phrase);
    config_ = before;
  }

  const testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.file("out");
  LoadedModel model_;
  std::map<std::string, Tensor> tensors_;
  Json config_;
};

TEST_F(CompressedTensors, AStudentIsReadBackAsItIs) {
  for (const int64_t group : {0, 32}) {
    SCOPED_TRACE(group);
    const testing::TemporaryDirectory folder;
    LoadedModel model = student(group);
    export_compressed_tensors(model, {}, folder.file("out"));
    LoadedModel again = load_model(folder.file("out"));
    EXPECT_EQ(again.config, model.config);
    EXPECT_EQ(linear_forms(again.decoder), linear_forms(model.decoder));
    EXPECT_EQ(linear_forms(again.decoder).at(kUp), group > 0 ? "onebit group 32" : "onebit row");
    const Tensor expected = logits(model), found = logits(again);
    for (int64_t i = 0; i < expected.numel(); ++i)
      ASSERT_NEAR(found.data<float>()[i], expected.data<float>()[i], 1e-5) << i;
    again.decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
      const auto stored = linear->stored();
      EXPECT_EQ(stored.at(linear->name + ".sign").dtype(), DType::u8);
    });
    // And written again, byte for byte.
    export_compressed_tensors(again, {}, folder.file("again"));
    EXPECT_EQ(testing::read_bytes(folder.file("again/model.safetensors")),
              testing::read_bytes(folder.file("out/model.safetensors")));
    const ModelOutline outline = read_outline(folder.file("out"));
    EXPECT_FALSE(outline.dense);
    EXPECT_EQ(outline.config, model.config);
  }
}

TEST_F(CompressedTensors, ScalesBeyondF16AreWeightsUnrounded) {
  write(32, 0.1);
  LoadedModel again = load();
  EXPECT_TRUE(linear_forms(again.decoder).empty());
  Weights weights = weights_of(again.decoder);
  model_.decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    EXPECT_TRUE(equal(weights.at(linear->name + ".weight").to(DType::f32), linear->dense_weight()));
  });
  EXPECT_FALSE(read_outline(path_).stored_as_f16);
}

TEST_F(CompressedTensors, CodesThatAreNoSignsAreWeights) {
  write(0);
  tensors_.at(kUp + ".weight_packed").data<int32_t>()[0] =
      static_cast<int32_t>(0xe4u);  // 0, 1, 2, 3
  LoadedModel again = load();
  EXPECT_EQ(linear_forms(again.decoder).size(), 13u);
  const Tensor w = weights_of(again.decoder).at(kUp + ".weight").to(DType::f32);
  EXPECT_EQ(weights_of(again.decoder).at(kUp + ".weight").dtype(), DType::f16);
  const float d = 0.125f;
  EXPECT_EQ((std::vector<float>{w.data<float>(), w.data<float>() + 5}),
            (std::vector<float>{-2 * d, -d, 0, d, -2 * d}));
}

TEST_F(CompressedTensors, OtherPackingsAreNamedWithWhatIsExpected) {
  write(32);
  expect_config(
      "config.json: quantization_config.quant_method is \"gptq\", expected "
      "\"compressed-tensors\"",
      [](Json& config, Json&) { config["quant_method"] = "gptq"; });
  expect_config("quantization_config.format is \"marlin-24\", expected \"pack-quantized\"",
                [](Json& config, Json&) { config["format"] = "marlin-24"; });
  expect_config("quantization_config.quantization_status is missing, expected \"compressed\"",
                [](Json& config, Json&) { config.erase("quantization_status"); });
  expect_config("quantization_config.kv_cache_scheme is {\"num_bits\":8}, which is on no list",
                [](Json& config, Json&) {
                  config["kv_cache_scheme"] = {{"num_bits", 8}};
                });
  expect_config("quantization_config.config_groups.group_1 is {}, which is on no list",
                [](Json& config, Json&) { config["config_groups"]["group_1"] = Json::object(); });
  expect_config("group_0.input_activations is {\"num_bits\":8}, which is on no list",
                [](Json&, Json& group) {
                  group["input_activations"] = {{"num_bits", 8}};
                });
  expect_config("group_0.targets is [\"q_proj\"], expected [\"Linear\"]",
                [](Json&, Json& group) { group["targets"] = {"q_proj"}; });
  const auto weights = [&](const std::string& text, const char* key, const Json& value) {
    expect_config(kWeights + "." + key + " is " + text,
                  [&](Json&, Json& group) { group["weights"][key] = value; });
  };
  weights("4, expected 2", "num_bits", 4);
  weights("\"float\", expected \"int\"", "type", "float");
  weights("false, expected true", "symmetric", false);
  weights("true, expected false", "dynamic", true);
  weights("\"group\", expected false", "actorder", "group");
  weights("\"tensor\", expected \"channel\" or \"group\"", "strategy", "tensor");
  expect_config(kWeights + ".group_size is 32, expected null, as strategy is \"channel\"",
                [](Json&, Json& group) { group["weights"]["strategy"] = "channel"; });
}

TEST_F(CompressedTensors, GroupsDivideTheInputs) {
  write(32);
  expect_config(
      "group_size is 48, expected a divisor of the 64 inputs of "
      "'model.layers.0.self_attn.q_proj'",
      [](Json&, Json& group) { group["weights"]["group_size"] = 48; });
  expect_config(
      "tensor 'model.layers.0.self_attn.q_proj.weight_scale' has shape [64, 2], expected "
      "[64, 1]",
      [](Json&, Json& group) { group["weights"]["group_size"] = 64; });
}

TEST_F(CompressedTensors, WhatALibraryWritesBesideIsPassedOver) {
  write(0);
  Json& config = config_.at("quantization_config");
  config["version"] = "0.20.0";
  config["kv_cache_scheme"] = nullptr;
  Json& weights = config["config_groups"]["group_0"]["weights"];
  weights["observer"] = "minmax";
  weights["actorder"] = nullptr;
  LoadedModel again = load();
  EXPECT_EQ(linear_forms(again.decoder).size(), 14u);
}

TEST_F(CompressedTensors, TensorsThatDoNotFitAreNamed) {
  write(32);
  const auto expect_tensor = [&](const std::string& part, const Tensor& tensor,
                                 const std::string& phrase) {
    const Tensor before = std::exchange(tensors_[kUp + part], tensor);
    expect("tensor '" + kUp + part + "' " + phrase);
    tensors_[kUp + part] = before;
  };
  expect_tensor(".weight_packed", Tensor::zeros({128, 3}, DType::i32),
                "has shape [128, 3], expected [128, 4]");
  expect_tensor(".weight_packed", Tensor::zeros({128, 4}, DType::i64), "is I64, expected I32");
  expect_tensor(".weight_scale", Tensor::zeros({128, 1}, DType::f16),
                "has shape [128, 1], expected [128, 2]");
  expect_tensor(".weight_shape", Tensor::of<int64_t>({2}, {128, 63}),
                "holds [128, 63], expected [128, 64]");
  expect_tensor(".weight_g_idx", Tensor::zeros({64}, DType::i32), "with shape [64] belongs to no");
  tensors_.erase(kUp + ".weight_g_idx");
  Tensor scale = tensors_.at(kUp + ".weight_scale").to(DType::f32);
  scale.data<float>()[3] = std::numeric_limits<float>::infinity();
  std::swap(scale, tensors_.at(kUp + ".weight_scale"));
  rewrite();
  expect_refused("tensor '" + kUp + ".weight_scale' holds 1 numbers that are not finite",
                 [&] { load_model(path_); });
  std::swap(scale, tensors_.at(kUp + ".weight_scale"));
  tensors_.erase(kUp + ".weight_packed");
  expect("tensor '" + kUp + ".weight_packed' is missing, expected with shape [128, 4]");
}

}  // namespace
}  // namespace halftone
