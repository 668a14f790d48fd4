// OneBit checkpoints in the released layout: what is read, and what is refused by name.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "halftone/io/safetensors.h"
#include "halftone/model/load.h"
#include "halftone/tensor/packed_signs.h"
#include "io/file_builders.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

using testing::equal;
using testing::expect_refused;

const std::string kUp = "model.layers.1.mlp.up_proj";

// A checkpoint as it is released, spoilt by the test that writes it.
class OneBitCheckpoint : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const ExpectedWeight& weight : expected_weights(decoder_spec(testing::tiny_config())))
      put(weight);
    tensors_["lm_head.weight"] = tensors_.at("model.embed_tokens.weight");
    std::string config = config_json(testing::tiny_config(), DType::f32);
    replace(config, "\"llama\"", "\"bitllama\"");
    replace(config, "LlamaForCausalLM", "BitLlamaForCausalLMInf");
    directory_.write("config.json", config);
  }

  void write() const {
    write_safetensors(directory_.file("model.safetensors"), tensors_, {{"format", "pt"}}, int8_);
  }
  LoadedModel load() const {
    write();
    return load_model(directory_.path());
  }
  void expect(const std::string& phrase) const {
    write();
    expect_refused(phrase, [&] { load_model(directory_.path()); });
    expect_refused(phrase, [&] { read_outline(directory_.path()); });
  }
  // The linear as the training writes it: latent weights in place of their signs.
  void unpack(const std::string& linear, int64_t in) {
    int8_.erase(linear + ".weight");
    Tensor& weight = tensors_.at(linear + ".weight");
    weight = unpack_signs(weight, in);
    for (int64_t i = 0; i < weight.numel(); ++i)
      weight.data<float>()[i] *= 0x1p-30f;  // F16 would make them 0, which is +1
  }
  static void replace(std::string& text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    ASSERT_NE(at, text.npos) << from;
    text.replace(at, from.size(), to);
  }

  const testing::TemporaryDirectory directory_;
  std::map<std::string, Tensor> tensors_;
  std::set<std::string> int8_;

 private:
  void put(const ExpectedWeight& weight) {
    if (weight.role != ParamRole::weight) {
      tensors_[weight.name] = Tensor::full(weight.shape, DType::f32, 0.5);
      return;
    }
    const std::string linear = weight.name.substr(0, weight.name.size() - 7);  // ".weight"
    Tensor bits = Tensor::uninitialized({weight.shape[0], weight.shape[1] / 8}, DType::u8);
    for (int64_t i = 0; i < bits.numel(); ++i)
      bits.data<uint8_t>()[i] = static_cast<uint8_t>(i * 37 + 11);
    tensors_[weight.name] = bits;
    int8_.insert(weight.name);
    tensors_[linear + ".weight_scale"] = Tensor::full({weight.shape[0]}, DType::f32, 0.1);
    tensors_[linear + ".input_factor"] = Tensor::full({weight.shape[1]}, DType::f32, 0.3);
  }
};

TEST_F(OneBitCheckpoint, IsALlamaOfOneBitLayersWithNothingLost) {
  tensors_["teacher_model.model.norm.weight"] = Tensor::zeros({3}, DType::f32);
  LoadedModel model = load();
  EXPECT_EQ(model.config, testing::tiny_config());
  EXPECT_EQ(linear_forms(model.decoder).size(), 14u);
  EXPECT_EQ(linear_forms(model.decoder).at(kUp), "onebit post_layer_norm");
  const Weights weights = weights_of(model.decoder);
  EXPECT_TRUE(equal(pack_signs(weights.at(kUp + ".weight")), tensors_.at(kUp + ".weight")));
  EXPECT_EQ(weights.at(kUp + ".out_scale").data<float>()[47], 0.1f);
  EXPECT_EQ(weights.at(kUp + ".in_scale").data<float>()[31], 0.3f);
  // Byte 0 of row 0 is 11, 0b1011: columns 0, 1 and 3 are -1.
  const float* row = weights.at(kUp + ".weight").data<float>();
  EXPECT_EQ((std::vector<float>{row, row + 8}), (std::vector<float>{-1, -1, 1, -1, 1, 1, 1, 1}));
  // 0.1 is no number of F16, 0.5 is.
  tensors_[kUp + ".weight_scale"].fill(0.5);
  write();
  EXPECT_EQ(import_model(directory_.path()).weights.at(kUp + ".out_scale").dtype(), DType::f16);
  EXPECT_EQ(import_model(directory_.path()).weights.at(kUp + ".in_scale").dtype(), DType::f32);
  const ModelOutline outline = read_outline(directory_.path());
  EXPECT_FALSE(outline.dense);
  EXPECT_FALSE(outline.stored_as_f16);
  EXPECT_EQ(import_model(directory_.path()).parameters,
            parameter_count(decoder_spec(model.config)));
}

TEST_F(OneBitCheckpoint, LatentWeightsAreReadUnrounded) {
  LoadedModel packed = load();
  unpack(kUp, 32);
  write();
  LoadedModel model = load_model(directory_.path(), {.dtype = WeightDtype::f16});
  const Weights weights = weights_of(model.decoder);
  EXPECT_EQ(std::abs(weights.at(kUp + ".weight").data<float>()[5]), 0x1p-30f);
  EXPECT_TRUE(equal(pack_signs(weights.at(kUp + ".weight")),
                    pack_signs(weights_of(packed.decoder).at(kUp + ".weight"))));
}

TEST_F(OneBitCheckpoint, MayBeInSeveralFiles) {
  std::map<std::string, Tensor> first, second;
  std::string map;
  for (const auto& [name, tensor] : tensors_) {
    const bool packed = int8_.contains(name);
    (packed ? first : second)[name] = tensor;
    map +=
        (map.empty() ? "\"" : ", \"") + name + "\": \"" + (packed ? "a" : "b") + ".safetensors\"";
  }
  write_safetensors(directory_.file("a.safetensors"), first, {}, int8_);
  write_safetensors(directory_.file("b.safetensors"), second);
  directory_.write("model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
  LoadedModel model = load_model(directory_.path());
  EXPECT_TRUE(equal(pack_signs(weights_of(model.decoder).at(kUp + ".weight")),
                    tensors_.at(kUp + ".weight")));
}

TEST_F(OneBitCheckpoint, PickledOnesAreRefused) {
  directory_.write("pytorch_model.bin", "PK\x03\x04");
  expect_refused("pickled weights", [&] { load_model(directory_.path()); });
}

TEST_F(OneBitCheckpoint, AnotherWidthIsNamedWithTheExpectedOne) {
  tensors_[kUp + ".weight"] = Tensor::zeros({48, 5}, DType::u8);
  expect("tensor '" + kUp + ".weight' has shape [48, 5], expected [48, 4]");
}

TEST_F(OneBitCheckpoint, LatentWeightsOfAnotherShapeAreNamed) {
  unpack(kUp, 32);
  tensors_[kUp + ".weight"] = Tensor::zeros({48, 4}, DType::f32);
  expect("tensor '" + kUp + ".weight' has shape [48, 4], expected [48, 32]");
}

TEST_F(OneBitCheckpoint, AMissingScaleIsNamed) {
  tensors_.erase(kUp + ".input_factor");
  expect("tensor '" + kUp + ".input_factor' is missing, expected with shape [32]");
}

TEST_F(OneBitCheckpoint, ScalesOfAnotherShapeAreNamed) {
  std::swap(tensors_[kUp + ".input_factor"], tensors_[kUp + ".weight_scale"]);
  expect("tensor '" + kUp + ".weight_scale' has shape [32], expected [48]");
}

TEST_F(OneBitCheckpoint, BytesThatAreNoSignsAreRefused) {
  int8_.erase(kUp + ".weight");
  tensors_[kUp + ".weight"] = Tensor::zeros({48, 32}, DType::u8);
  expect("tensor '" + kUp + ".weight' is U8, expected F32, F64, F16 or BF16");
}

TEST_F(OneBitCheckpoint, SignsInPlaceOfAnEmbeddingAreRefused) {
  tensors_["model.norm.weight"] = Tensor::zeros({32}, DType::u8);
  int8_.insert("model.norm.weight");
  expect("tensor 'model.norm.weight' is I8, expected F32");
}

TEST_F(OneBitCheckpoint, ScalesThatAreNotFiniteAreCounted) {
  tensors_[kUp + ".weight_scale"].data<float>()[3] = std::numeric_limits<float>::infinity();
  write();
  expect_refused("tensor '" + kUp + ".weight_scale' holds 1 numbers that are not finite",
                 [&] { load_model(directory_.path()); });
}

TEST_F(OneBitCheckpoint, ItsTensorsBelongToNoOtherModel) {
  directory_.write("config.json", config_json(testing::tiny_config(), DType::f32));
  write();
  expect_refused("is I8, expected F32", [&] { load_model(directory_.path()); });
}

TEST_F(OneBitCheckpoint, AnotherArchitectureOfItsTypeIsRefused) {
  std::string config = testing::read_bytes(directory_.file("config.json"));
  replace(config, "BitLlamaForCausalLMInf", "BitOptForCausalLM");
  directory_.write("config.json", config);
  expect("architecture 'BitOptForCausalLM' with model_type 'bitllama' is not supported");
}

}  // namespace
}  // namespace halftone
