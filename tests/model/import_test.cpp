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
    expect_refused(phrase, [&] { import_model(folder_, DType::f32); });
  }
  const testing::TemporaryDirectory directory_;
  const std::string folder_ = directory_.path();
  std::map<std::string, Tensor> weights_;
  const std::string q_ = "model.layers.1.self_attn.q_proj.weight";
};

TEST_F(SpoiltModel, AWholeOneIsRead) {
  write_safetensors(folder_ + "/model.safetensors", weights_);
  EXPECT_EQ(import_model(folder_, DType::f16).weights.at(q_).dtype(), DType::f16);
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
  EXPECT_EQ(import_model(folder_, DType::f32).weights.count("lm_head.weight"), 0u);
}

TEST_F(SpoiltModel, NoWeightsOrADirectoryInTheirPlaceIsRefused) {
  expect_refused("model.safetensors", [&] { import_model(folder_, DType::f32); });
  fs::create_directories(folder_ + "/model.safetensors");
  expect_refused("model.safetensors", [&] { import_model(folder_, DType::f32); });
  expect_refused("nowhere", [&] { import_model("/nowhere", DType::f32); });
}

TEST(Import, AGgufModelEqualsItsHuggingFaceTwin) {
  const std::string fixtures = HALFTONE_SOURCE_DIR "/tests/fixtures/";
  const ImportedModel gguf = import_model(fixtures + "gguf/tiny_llama.gguf", DType::f32);
  const ImportedModel hf = import_model(kTeacher, DType::f32);
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
