#include "halftone/model/export_gguf.h"

#include <cmath>
#include <filesystem>

#include "halftone/base/error.h"
#include "halftone/io/gguf.h"
#include "halftone/tensor/arithmetic.h"
#include "io/file_builders.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryDirectory;

const std::string kFixtures = HALFTONE_SOURCE_DIR "/tests/fixtures/";
constexpr int64_t kRows = 805;

// A folder with a tokenizer, and a model of random numbers that F16 holds, at home there.
class ExportGguf : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::copy_file(kFixtures + "tokenizers/smollm.json", folder_.file("tokenizer.json"));
  }

  LoadedModel model_of(ModelConfig config) const {
    config.vocab_size = kRows;
    config.bos_token_id = 1;
    config.eos_token_ids = {0};
    config.pad_token_id = 2;
    const DecoderSpec spec = decoder_spec(config);
    Weights weights = random_weights(spec, 1);
    Rng rng(7, RngStream::test);
    for (auto& [name, tensor] : weights) {
      fill_normal(tensor, 0.1, rng);
      tensor = tensor.to(DType::f16).to(DType::f32);
    }
    LoadedModel out;
    out.config = config;
    out.decoder = build_decoder(spec, weights);
    out.home = folder_.path();
    return out;
  }

  GgufExportSummary write(LoadedModel& model, const GgufExportOptions& options = {}) const {
    fs::remove(out());
    return export_gguf(model, read_companions(model.home, model.config), options, out());
  }
  std::string out() const { return folder_.file("out.gguf"); }

  // The text of the error that the export throws, which leaves no file.
  std::string error_of(LoadedModel& model, const GgufExportOptions& options = {}) const {
    try {
      write(model, options);
    } catch (const Error& error) {
      EXPECT_FALSE(fs::exists(out()));
      return error.what();
    }
    return "written";
  }
  void expect_refused(const std::string& phrase, const ModelConfig& config) const {
    LoadedModel model = model_of(config);
    const std::string text = error_of(model);
    EXPECT_NE(text.find(phrase), text.npos) << text;
  }

  const TemporaryDirectory folder_;
};

ModelConfig fixture_config(const std::string& name) {
  return read_config(kFixtures + "families/" + name + "/config.json");
}

ModelConfig llama_with(RopeScaling::Kind kind) {
  ModelConfig config = testing::tiny_config();
  config.tie_word_embeddings = false;
  config.rope_scaling.kind = kind;
  config.rope_scaling.factor = 4;
  return config;
}

// Every configuration of which there is a GGUF, by a name.
std::vector<std::pair<std::string, ModelConfig>> configurations() {
  std::vector<std::pair<std::string, ModelConfig>> out = {
      {"llama", testing::tiny_config()},
      {"linear", llama_with(RopeScaling::Kind::linear)},
      {"yarn", llama_with(RopeScaling::Kind::yarn)},
      {"longrope", llama_with(RopeScaling::Kind::longrope)},
      {"mistral", fixture_config("mistral-0")},
      {"qwen2", fixture_config("qwen2-0")},
      {"qwen3", fixture_config("qwen3-0")},
      {"gemma3", fixture_config("gemma3_text-0")},
      {"gemma3 linear", fixture_config("gemma3_text-2")}};
  ModelConfig biased = testing::tiny_config();
  biased.attention_bias = biased.attention_output_bias = biased.mlp_bias = true;
  out.emplace_back("biased", biased);
  ModelConfig llama3 = llama_with(RopeScaling::Kind::llama3);
  llama3.head_dim = 32;
  llama3.rope_theta = 500000;
  out.emplace_back("llama3", llama3);
  for (auto& [name, config] : out) {
    RopeScaling& s = config.rope_scaling;
    if (name == "yarn") s.attention_factor = 1 + 0.1 * std::log(4.0);
    if (name == "yarn") s.original_max_position_embeddings = 16;
    if (name == "yarn") s.beta_fast = 24;
    if (name == "longrope")
      s = {.kind = RopeScaling::Kind::longrope,
           .original_max_position_embeddings = 32,
           .attention_factor = 1.5,
           .short_factor = {1, 1.5, 2, 2.5},
           .long_factor = {2, 3, 4, 5}};
    if (name == "qwen2") config.sliding_layers = {};
  }
  return out;
}

TEST_F(ExportGguf, EveryFamilyComesBackAsItWas) {
  for (const auto& [name, config] : configurations()) {
    SCOPED_TRACE(name);
    LoadedModel model = model_of(config);
    const GgufExportSummary summary = write(model);
    EXPECT_EQ(summary.changed, 0);
    EXPECT_EQ(summary.bits, 16);
    LoadedModel back = load_model(out(), {.widen = true});
    EXPECT_EQ(back.config.rope_scaling, model.config.rope_scaling);
    EXPECT_EQ(back.config, model.config);
    const Weights wanted = weights_of(model.decoder), found = weights_of(back.decoder);
    ASSERT_EQ(found.size(), wanted.size());
    const bool offset = config.architecture == "gemma3_text";
    for (const auto& [weight, tensor] : wanted) {
      const Tensor& other = found.at(weight);
      ASSERT_EQ(other.shape(), tensor.shape()) << weight;
      // A gain that is written with its offset has lost bits below the sum's.
      const float most = offset && tensor.rank() == 1 ? 1e-7f : 0;
      for (int64_t i = 0; i < tensor.numel(); ++i)
        ASSERT_NEAR(other.data<float>()[i], tensor.data<float>()[i], most) << weight << " " << i;
    }
  }
}

TEST_F(ExportGguf, AMistralWithoutAWindowIsALlamaThere) {
  ModelConfig config = fixture_config("mistral-0");
  config.sliding_window = {};
  LoadedModel model = model_of(config);
  write(model);
  model.config.architecture = "llama";
  EXPECT_EQ(load_model(out()).config, model.config);
}

TEST_F(ExportGguf, WhatLlamaCppDoesNotComputeIsRefused) {
  expect_refused("opt: a GGUF has no architecture of this family", fixture_config("opt-0"));
  expect_refused("qwen2: a GGUF has no sliding window that only some", fixture_config("qwen2-0"));
  expect_refused("qwen3: a GGUF has no biases like these: q, k, v true", fixture_config("qwen3-1"));
  expect_refused("gemma3_text: a GGUF has no biases", fixture_config("gemma3_text-1"));
  expect_refused("no rope scaling of type dynamic", llama_with(RopeScaling::Kind::dynamic));
  ModelConfig config = llama_with(RopeScaling::Kind::yarn);
  config.rope_scaling.truncate = false;
  expect_refused("no yarn scaling with truncate = false", config);
  config = llama_with(RopeScaling::Kind::llama3);
  config.rope_scaling.low_freq_factor = 2;
  expect_refused("no llama3 scaling other than low_freq_factor 1", config);
  config = fixture_config("qwen3-0");
  config.rope_scaling.kind = RopeScaling::Kind::llama3;
  expect_refused("no rope scaling of type llama3 in llama.cpp's architecture qwen3", config);
  config = fixture_config("gemma3_text-0");
  config.query_pre_attn_scalar = 5;
  expect_refused("no query_pre_attn_scalar; found 5, 8 expected", config);
  config.query_pre_attn_scalar = 8;
  config.sliding_layers = {false, false, true, true, true, true, true};
  expect_refused("no sliding layers other than all but every n-th", config);
}

// Rows of 128 and 256 numbers: every type's block fits one of them.
ModelConfig wide_config() {
  ModelConfig config = testing::tiny_config();
  config.hidden_size = 256;
  config.intermediate_size = 128;
  config.head_dim = 64;
  return config;
}

// h times the signs of the linear's numbers, a training checkpoint's: h is in F32.
void put_signs(LoadedModel& model, float in_scale) {
  for (Block& block : model.decoder.blocks)
    for (auto& [role, linear] : block.linears) {
      const Tensor latent = linear->dense_weight();
      const Tensor h = Tensor::full({latent.dim(0)}, DType::f32, 0.1);
      Tensor g = Tensor::full({latent.dim(1)}, DType::f32, 1);
      g.data<float>()[0] = in_scale;
      linear = std::make_unique<OneBitLinear>(linear->name, latent, g, h, Tensor(),
                                              OneBitOptions{.post_layer_norm = false});
    }
}

TEST_F(ExportGguf, SignsTakeOneBitAndKeepEveryNumberOfThePackedModel) {
  LoadedModel model = model_of(wide_config());
  put_signs(model, 1);
  const GgufExportSummary summary = write(model, {.name = "signs", .method = "onebit"});
  EXPECT_EQ(summary.linears, (std::map<std::string, int64_t>{{"Q1_0", 14}}));
  EXPECT_EQ(summary.bits, 1.125);
  const GgufMetadata metadata = GgufMetadata::read(out());
  EXPECT_EQ(metadata.get_int("general.file_type"), 40);
  EXPECT_EQ(metadata.get_string("general.name"), "signs");
  EXPECT_EQ(metadata.get_string("halftone.method"), "onebit");
  EXPECT_EQ(metadata.get_float("halftone.bits_per_weight"), 1.125);
  LoadedModel back = load_model(out());
  const float h = to_float(to_half(0.1f));
  for (size_t b = 0; b < back.decoder.blocks.size(); ++b)
    for (const auto& [role, linear] : model.decoder.blocks[b].linears) {
      const Tensor signs = linear->dense_weight(),
                   found = back.decoder.blocks[b].linears.at(role)->dense_weight();
      for (int64_t i = 0; i < signs.numel(); ++i)
        ASSERT_EQ(found.data<float>()[i], signs.data<float>()[i] < 0 ? -h : h) << linear->name;
    }
  // With scales along the rows only F16 is left, which rounds them.
  put_signs(model, 1.0009765625f);
  const GgufExportSummary rows = write(model);
  EXPECT_EQ(rows.linears, (std::map<std::string, int64_t>{{"F16", 14}}));
}

TEST_F(ExportGguf, ATypeThatIsAskedForHoldsEachLinearOrIsRefused) {
  LoadedModel model = model_of(wide_config());
  put_signs(model, 1);
  for (const char* type : {"Q1_0", "Q2_0", "Q4_0", "F16"}) {
    const GgufExportSummary summary = write(model, {.linears = &ggml_type(type)});
    EXPECT_EQ(summary.linears, (std::map<std::string, int64_t>{{type, 14}}));
  }
  // Behind the MLP rows have 128 numbers.
  EXPECT_EQ(error_of(model, {.linears = &ggml_type("TQ1_0")}),
            "--gguf-type: 'model.layers.0.mlp.down_proj.weight' does not fit TQ1_0: its width of "
            "128 is no multiple of 256; choose auto");
  put_signs(model, 2);
  EXPECT_NE(error_of(model, {.linears = &ggml_type("Q1_0")}).find("128 neighbours are no signs"),
            std::string::npos);
}

TEST_F(ExportGguf, EmbeddingAndHeadTakeEightBitsWhereTheirRowsAreWholeBlocks) {
  ModelConfig config = wide_config();
  config.tie_word_embeddings = false;
  LoadedModel model = model_of(config);
  EXPECT_TRUE(write(model, {.q8_0_embedding = true}).notes.empty());
  const GgufFile file = GgufFile::open(out());
  for (const char* name : {"token_embd.weight", "output.weight"})
    EXPECT_STREQ(file.find(name)->type->name, "Q8_0");
  ModelConfig narrow = testing::tiny_config();
  narrow.hidden_size = 40;
  narrow.head_dim = 10;
  LoadedModel other = model_of(narrow);
  const GgufExportSummary summary = write(other, {.q8_0_embedding = true});
  ASSERT_EQ(summary.notes.size(), 1u);
  EXPECT_NE(summary.notes[0].find("its width of 40 is no multiple"), std::string::npos);
  EXPECT_EQ(GgufFile::open(out()).find("output.weight"), nullptr);  // tied
}

TEST_F(ExportGguf, NumbersThatF16LosesAreCountedOrRefused) {
  LoadedModel model = model_of(testing::tiny_config());
  float* embedding = model.decoder.embedding.value.data<float>();
  embedding[0] = embedding[1] = 1.0001f;
  EXPECT_EQ(write(model).changed, 2);
  embedding[0] = 1e5f;
  EXPECT_NE(error_of(model).find("'model.embed_tokens.weight' holds 1 numbers beyond F16"),
            std::string::npos);
}

TEST_F(ExportGguf, ALayerNormalisationAndAFailedCheckLeaveNoFile) {
  LoadedModel model = model_of(testing::tiny_config());
  EXPECT_THROW(export_gguf(model, {}, {}, out(),
                           [](const std::string&) { throw std::runtime_error("differs"); }),
               std::runtime_error);
  EXPECT_FALSE(fs::exists(out()));
  auto& up = model.decoder.blocks[1].linears[SlotRole::up];
  up = std::make_unique<OneBitLinear>(up->name, up->dense_weight(),
                                      Tensor::full({32}, DType::f32, 1),
                                      Tensor::full({48}, DType::f32, 1), Tensor(), OneBitOptions{});
  EXPECT_NE(error_of(model).find("layer normalisation"), std::string::npos);
}

}  // namespace
}  // namespace halftone
