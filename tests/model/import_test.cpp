// Whole models: what is in the files must be exactly what the configuration says.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "halftone/io/safetensors.h"
#include "halftone/model/import.h"
#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::expect_refused;
namespace fs = std::filesystem;
const std::string kTeacher = HALFTONE_SOURCE_DIR "/tests/fixtures/onebit_student/teacher";

// A copy of the small teacher whose tensors a test may spoil.
class SpoiltModel : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::copy_file(kTeacher + "/config.json", folder_ + "/config.json",
                  fs::copy_options::overwrite_existing);
    for (const auto& [name, tensor] : read_safetensors(kTeacher + "/model.safetensors").tensors)
      weights_[name] = tensor.clone();
  }
  void expect(const std::string& phrase) {
    write_safetensors(folder_ + "/model.safetensors", weights_);
    expect_refused(phrase, [&] { import_model(folder_, {.widen = true}); });
  }
  const testing::TemporaryDirectory directory_;
  const std::string folder_ = directory_.path();
  std::map<std::string, Tensor> weights_;
  const std::string q_ = "model.layers.1.self_attn.q_proj.weight";
};

TEST_F(SpoiltModel, AWholeOneIsRead) {
  write_safetensors(folder_ + "/model.safetensors", weights_);
  EXPECT_EQ(import_model(folder_, {.dtype = WeightDtype::f16}).weights.at(q_).dtype(), DType::f16);
}

TEST_F(SpoiltModel, NumbersThatF16WouldChangeAreKeptUnlessRoundingIsAskedFor) {
  weights_[q_].data<float>()[3] = 0.1f;            // between two F16 numbers
  weights_[q_].data<float>()[4] = 100000.0f;       // beyond the greatest
  weights_[q_].data<float>()[5] = 1.0f + 0x1p-8f;  // F16, not BF16
  write_safetensors(folder_ + "/model.safetensors", weights_);
  const ImportedModel whole = import_model(folder_);
  EXPECT_EQ(whole.weights.at(q_).dtype(), DType::f32);
  EXPECT_EQ(whole.changed, 0);
  EXPECT_GE(whole.not_f16, 1);
  EXPECT_EQ(whole.weights.at(q_).data<float>()[4], 100000.0f);
  const ImportedModel brain = import_model(folder_, {.dtype = WeightDtype::bf16, .widen = true});
  EXPECT_EQ(brain.weights.at(q_).data<float>()[5], 1.0f);
  EXPECT_GE(brain.changed, 3);
  expect_refused(q_, [&] { import_model(folder_, {.dtype = WeightDtype::f16}); });
  weights_[q_].data<float>()[4] = 2.0f;
  write_safetensors(folder_ + "/model.safetensors", weights_);
  const ImportedModel half = import_model(folder_, {.dtype = WeightDtype::f16, .widen = true});
  EXPECT_EQ(half.weights.at(q_).data<float>()[3], to_float(to_half(0.1f)));
  EXPECT_EQ(half.not_f16, 0);
}

TEST_F(SpoiltModel, AnOutlineChecksTheTensorsWithoutTheirNumbers) {
  weights_[q_].data<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  write_safetensors(folder_ + "/model.safetensors", weights_);
  const ImportOutline outline = read_import_outline(folder_);
  EXPECT_EQ(outline.config.num_hidden_layers, 2);
  EXPECT_FALSE(outline.stored_as_f16);
  weights_.erase(q_);
  write_safetensors(folder_ + "/model.safetensors", weights_);
  expect_refused(q_, [&] { read_import_outline(folder_); });
}

TEST_F(SpoiltModel, AMissingTensorIsNamed) {
  weights_.erase(q_);
  expect(q_);
}

TEST_F(SpoiltModel, AnUnknownTensorIsNamed) {
  weights_["model.layers.0.self_attn.secret"] = Tensor::zeros({2, 2}, DType::f32);
  expect("model.layers.0.self_attn.secret");
}

TEST_F(SpoiltModel, AnotherShapeIsNamedWithTheExpectedOne) {
  weights_[q_] = Tensor::zeros({32, 31}, DType::f32);
  expect("[32, 32]");
}

TEST_F(SpoiltModel, AnotherDtypeIsRefused) {
  weights_[q_] = Tensor::zeros({32, 32}, DType::i32);
  expect(q_);
}

TEST_F(SpoiltModel, NumbersThatAreNotFiniteAreCounted) {
  weights_[q_].data<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  weights_[q_].data<float>()[9] = std::numeric_limits<float>::infinity();
  expect(q_);
}

TEST_F(SpoiltModel, AHeadThatDiffersFromATiedEmbeddingIsRefused) {
  weights_["lm_head.weight"] = Tensor::zeros({64, 32}, DType::f32);
  expect("lm_head.weight");
}

TEST_F(SpoiltModel, AHeadEqualToATiedEmbeddingIsRead) {
  weights_["lm_head.weight"] = weights_["model.embed_tokens.weight"];
  write_safetensors(folder_ + "/model.safetensors", weights_);
  EXPECT_EQ(import_model(folder_, {.widen = true}).weights.count("lm_head.weight"), 0u);
}

TEST_F(SpoiltModel, NoWeightsOrADirectoryInTheirPlaceIsRefused) {
  expect_refused("model.safetensors", [&] { import_model(folder_, {.widen = true}); });
  fs::create_directories(folder_ + "/model.safetensors");
  expect_refused("model.safetensors", [&] { import_model(folder_, {.widen = true}); });
  expect_refused("nowhere", [&] { import_model("/nowhere", {.widen = true}); });
}

TEST(Import, AGgufModelEqualsItsHuggingFaceTwin) {
  const std::string fixtures = HALFTONE_SOURCE_DIR "/tests/fixtures/";
  const ImportedModel gguf = import_model(fixtures + "gguf/tiny_llama.gguf", {.widen = true});
  const ImportedModel hf = import_model(kTeacher, {.widen = true});
  EXPECT_EQ(gguf.parameters, hf.parameters);
  EXPECT_TRUE(gguf.config.tie_word_embeddings);
  ASSERT_EQ(gguf.weights.size(), hf.weights.size());
  // The file holds some matrices in F16: half a unit in the last place of 11 bits.
  for (const auto& [name, tensor] : hf.weights) {
    const Tensor& other = gguf.weights.at(name);
    ASSERT_EQ(other.shape(), tensor.shape()) << name;
    for (int64_t i = 0; i < tensor.numel(); ++i)
      ASSERT_NEAR(other.data<float>()[i], tensor.data<float>()[i],
                  std::ldexp(std::abs(tensor.data<float>()[i]), -11) + 1e-7)
          << name << " " << i;
  }
}

}  // namespace
}  // namespace halftone
