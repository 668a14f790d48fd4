#include "halftone/model/config.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "halftone/io/gguf.h"
#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::expect_refused;
using testing::GgufBuilder;
using testing::TemporaryDirectory;
using Json = nlohmann::json;

Json llama() {
  return Json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576,
    "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "hidden_act": "silu", "vocab_size": 49152,
    "max_position_embeddings": 8192, "rms_norm_eps": 1e-05, "rope_theta": 100000.0,
    "rope_scaling": null, "attention_bias": false, "mlp_bias": false,
    "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2})");
}

Json qwen2() {
  return Json::parse(R"({
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 896,
    "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
    "num_key_value_heads": 2, "hidden_act": "silu", "vocab_size": 151936,
    "max_position_embeddings": 32768, "max_window_layers": 21, "rms_norm_eps": 1e-06,
    "rope_theta": 1000000, "sliding_window": 32768, "use_sliding_window": false,
    "tie_word_embeddings": true, "bos_token_id": 151643, "eos_token_id": [151645, 151643]})");
}

Json with(Json json, const char* patch) {
  json.merge_patch(Json::parse(patch));
  return json;
}

ModelConfig parse(const Json& json) {
  return parse_config(json.dump(), "config.json");
}

const char* kLlama3 = R"({"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,)"
                      R"("high_freq_factor":4.0,"original_max_position_embeddings":8192})";

TEST(Config, ReadsALlama) {
  const ModelConfig c = parse(llama());
  EXPECT_EQ(c.architecture, "llama");
  EXPECT_EQ(c.hidden_size, 576);
  EXPECT_EQ(c.intermediate_size, 1536);
  EXPECT_EQ(c.num_hidden_layers, 30);
  EXPECT_EQ(c.num_attention_heads, 9);
  EXPECT_EQ(c.num_key_value_heads, 3);
  EXPECT_EQ(c.head_dim, 64);
  EXPECT_EQ(c.vocab_size, 49152);
  EXPECT_EQ(c.max_position_embeddings, 8192);
  EXPECT_EQ(c.rms_norm_eps, 1e-5);
  EXPECT_EQ(c.rope_theta, 1e5);
  EXPECT_EQ(c.rope_scaling.kind, RopeScaling::Kind::none);
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_FALSE(c.attention_bias || c.attention_output_bias || c.mlp_bias);
  EXPECT_EQ(c.bos_token_id, 1);
  EXPECT_EQ(c.eos_token_ids, std::vector<int64_t>{2});
}

TEST(Config, QwenHasBiasesOnQueriesKeysAndValuesByArchitecture) {
  const ModelConfig c = parse(qwen2());
  EXPECT_EQ(c.architecture, "qwen2");
  EXPECT_TRUE(c.attention_bias);
  EXPECT_FALSE(c.attention_output_bias || c.mlp_bias);
  EXPECT_EQ(c.rope_theta, 1e6);
  EXPECT_EQ(c.eos_token_ids, (std::vector<int64_t>{151645, 151643}));
}

TEST(Config, LlamaBiasesFollowTheirFields) {
  const ModelConfig c = parse(with(llama(), R"({"attention_bias": true, "mlp_bias": true})"));
  EXPECT_TRUE(c.attention_bias && c.attention_output_bias && c.mlp_bias);
}

TEST(Config, MissingFieldsHaveTheDefaultsOfTransformers) {
  const Json bare = with(llama(), R"({"num_key_value_heads": null, "max_position_embeddings": null,
      "rms_norm_eps": null, "rope_theta": null, "tie_word_embeddings": null, "attention_bias": null,
      "mlp_bias": null, "bos_token_id": null, "eos_token_id": null, "hidden_act": null})");
  for (const char* architectures : {R"({"architectures": null})", R"({"model_type": null})"}) {
    const ModelConfig c = parse(with(bare, architectures));
    EXPECT_EQ(c.num_key_value_heads, 9);
    EXPECT_EQ(c.max_position_embeddings, 2048);
    EXPECT_EQ(c.rms_norm_eps, 1e-6);
    EXPECT_EQ(c.rope_theta, 1e4);
    EXPECT_FALSE(c.tie_word_embeddings);
    EXPECT_FALSE(c.bos_token_id);
    EXPECT_TRUE(c.eos_token_ids.empty());
  }
}

TEST(Config, HeadDimNeedNotBeAShareOfTheHiddenSize) {
  EXPECT_EQ(parse(with(llama(), R"({"hidden_size": 500, "head_dim": 128})")).head_dim, 128);
}

TEST(Config, BothSpellingsOfTheRotarySettingsMeanTheSame) {
  const std::string scaling = fmt::format(R"({{"rope_scaling": {}}})", kLlama3);
  const ModelConfig four = parse(with(llama(), scaling.c_str()));
  Json five = with(llama(), R"({"rope_theta": null})");
  five["rope_parameters"] = Json::parse(kLlama3);
  five["rope_parameters"]["rope_theta"] = 1e5;
  EXPECT_EQ(four.rope_scaling.kind, RopeScaling::Kind::llama3);
  EXPECT_EQ(four.rope_scaling.factor, 8);
  EXPECT_EQ(four.rope_scaling.original_max_position_embeddings, 8192);
  EXPECT_EQ(four, parse(five));
  Json both = with(llama(), scaling.c_str());
  both["rope_parameters"] = five["rope_parameters"];
  EXPECT_EQ(four, parse(both));
  // The older name of rope_type, and plain embeddings spelt out.
  Json older = with(llama(), scaling.c_str());
  older["rope_scaling"].erase("rope_type");
  older["rope_scaling"]["type"] = "llama3";
  EXPECT_EQ(four, parse(older));
  EXPECT_EQ(parse(llama()), parse(with(llama(), R"({"rope_scaling": {"rope_type": "default"}})")));
}

TEST(Config, WhatIsWrittenIsReadBack) {
  for (const Json& json :
       {llama(), qwen2(), with(llama(), R"({"attention_bias": true})"),
        with(llama(), R"({"bos_token_id": null, "eos_token_id": null})"),
        with(llama(), fmt::format(R"({{"rope_scaling": {}}})", kLlama3).c_str())}) {
    const ModelConfig c = parse(json);
    const std::string text = config_json(c, DType::f16);
    EXPECT_EQ(parse_config(text, "written"), c) << text;
    Json five = Json::parse(text);  // as transformers 5 reads it
    five.erase("rope_theta");
    five.erase("rope_scaling");
    EXPECT_EQ(parse(five), c);
    EXPECT_EQ(five["dtype"], "float16");
    EXPECT_EQ(five["torch_dtype"], "float16");
  }
}

TEST(Config, BiasesWithoutASpellingAreTheCallersMistake) {
  ModelConfig c = parse(llama());
  c.attention_bias = true;
  EXPECT_THROW(config_json(c, DType::f32), std::invalid_argument);
}

TEST(Config, FrequenciesOfLlama3AreThoseOfItsDefinition) {
  ModelConfig c = parse(llama());
  const std::vector<double> plain = rope_inverse_frequencies(c);
  ASSERT_EQ(plain.size(), 32u);
  EXPECT_EQ(plain[0], 1);
  EXPECT_NEAR(plain[16], std::pow(1e5, -0.5), 1e-15);
  c = parse(with(llama(), fmt::format(R"({{"rope_scaling": {}}})", kLlama3).c_str()));
  const std::vector<double> scaled = rope_inverse_frequencies(c);
  int kept = 0, divided = 0, between = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    const double wavelength = 2 * std::numbers::pi / plain[i];
    if (wavelength < 8192.0 / 4) {
      ++kept;
      EXPECT_EQ(scaled[i], plain[i]);
    } else if (wavelength > 8192.0) {
      ++divided;
      EXPECT_EQ(scaled[i], plain[i] / 8);
    } else {
      ++between;
      const double s = (8192 / wavelength - 1) / 3;
      EXPECT_NEAR(scaled[i] / ((1 - s) * plain[i] / 8 + s * plain[i]), 1, 1e-12);
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(divided, 0);
  EXPECT_GT(between, 0);
}

struct Malformed {
  const char* name;
  const char* patch;  // of the Llama above
  const char* phrase;
};

const Malformed kMalformed[] = {
    {"no heads", R"({"num_attention_heads": 0})", "num_attention_heads is 0, expected a whole"},
    {"negative heads", R"({"num_attention_heads": -9})", "num_attention_heads is -9"},
    {"heads do not divide", R"({"num_attention_heads": 10})",
     "hidden_size is 576, expected a multiple of num_attention_heads = 10"},
    {"too many heads", R"({"num_attention_heads": 100000})", "is 100000, expected a whole number"},
    {"no key heads", R"({"num_key_value_heads": 0})", "num_key_value_heads is 0"},
    {"key heads do not divide", R"({"num_key_value_heads": 4})",
     "num_key_value_heads is 4, expected a divisor of num_attention_heads = 9"},
    {"more key heads", R"({"num_key_value_heads": 18})", "num_key_value_heads is 18"},
    {"odd head_dim", R"({"head_dim": 63})", "head_dim is 63, expected an even number"},
    {"long heads", R"({"head_dim": 290})", "head_dim is 290, expected at most 288"},
    {"head_dim 0", R"({"head_dim": 0})", "head_dim is 0"},
    {"huge head_dim", R"({"head_dim": 16384})", "head_dim is 16384"},
    {"no hidden size", R"({"hidden_size": null})", "hidden_size is missing, expected a whole"},
    {"hidden size 0", R"({"hidden_size": 0})", "hidden_size is 0"},
    {"hidden size a fraction", R"({"hidden_size": 576.0})", "hidden_size is 576.0"},
    {"hidden size a text", R"({"hidden_size": "576"})", "hidden_size is \"576\""},
    {"hidden size true", R"({"hidden_size": true})", "hidden_size is true"},
    {"hidden size a list", R"({"hidden_size": [576]})", "hidden_size is [576]"},
    {"huge hidden size", R"({"hidden_size": 1048577})", "hidden_size is 1048577"},
    {"hidden size 2^63", R"({"hidden_size": 9223372036854775808})", "is 9223372036854775808"},
    {"hidden size 2^64", R"({"hidden_size": 18446744073709551616})", "hidden_size is 1.84467"},
    {"negative hidden size", R"({"hidden_size": -9223372036854775808})", "hidden_size is -922"},
    {"no intermediate size", R"({"intermediate_size": null})", "intermediate_size is missing"},
    {"negative intermediate size", R"({"intermediate_size": -1})", "intermediate_size is -1"},
    {"no layers", R"({"num_hidden_layers": 0})", "num_hidden_layers is 0"},
    {"huge layers", R"({"num_hidden_layers": 4294967297})", "num_hidden_layers is 4294967297"},
    {"no vocabulary", R"({"vocab_size": 0})", "vocab_size is 0"},
    {"huge vocabulary", R"({"vocab_size": 100000000})", "vocab_size is 100000000"},
    {"no positions", R"({"max_position_embeddings": 0})", "max_position_embeddings is 0"},
    {"epsilon 0", R"({"rms_norm_eps": 0})", "rms_norm_eps is 0, expected a number from 1e-20 to 1"},
    {"negative epsilon", R"({"rms_norm_eps": -1e-5})", "rms_norm_eps is -1e-05"},
    {"epsilon a text", R"({"rms_norm_eps": "1e-5"})", "rms_norm_eps is \"1e-5\""},
    {"theta 0", R"({"rope_theta": 0})", "rope_theta is 0, expected a number from 1 to"},
    {"negative theta", R"({"rope_theta": -10000.0})", "rope_theta is -10000.0"},
    {"huge theta", R"({"rope_theta": 1e300})", "rope_theta is 1e+300"},
    {"theta a text", R"({"rope_theta": "NaN"})", "rope_theta is \"NaN\""},
    {"scaling a text", R"({"rope_scaling": "llama3"})",
     "rope_scaling is \"llama3\", expected an obj"},
    {"linear scaling", R"({"rope_scaling": {"type": "linear", "factor": 2}})",
     "rope_scaling.type is \"linear\", expected \"default\" or \"llama3\""},
    {"yarn", R"({"rope_scaling": {"rope_type": "yarn"}})", "rope_scaling.rope_type is \"yarn\""},
    {"type a number", R"({"rope_scaling": {"rope_type": 3}})", "rope_scaling.rope_type is 3"},
    {"no factor", R"({"rope_scaling": {"rope_type": "llama3"}})", "rope_scaling.factor is missing"},
    {"factor 0", R"({"rope_scaling": {"rope_type": "llama3", "factor": 0}})",
     "rope_scaling.factor is 0"},
    {"factors crossed", R"({"rope_scaling": {"rope_type": "llama3", "factor": 8,
      "low_freq_factor": 4, "high_freq_factor": 4}})",
     "low_freq_factor is 4, expected less than high_freq_factor = 4"},
    {"theta twice", R"({"rope_parameters": {"rope_theta": 5e5}})",
     "rope_parameters.rope_theta is 500000.0, expected 100000"},
    {"scaling twice", R"({"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 1,
      "high_freq_factor": 4}, "rope_parameters": {"rope_type": "default"}})",
     "expected the same as rope_scaling"},
    {"rope a layer", R"({"rope_parameters": {"full_attention": {"rope_theta": 1e5}}})",
     "rope_parameters.full_attention is {"},
    {"partial rope", R"({"partial_rotary_factor": 0.5})",
     "partial_rotary_factor is 0.5, expected 1"},
    {"gelu", R"({"hidden_act": "gelu"})", "hidden_act is \"gelu\", expected \"silu\""},
    {"window", R"({"sliding_window": 4096})", "sliding_window is 4096, expected no sliding window"},
    {"window on", R"({"use_sliding_window": true, "sliding_window": 4096})",
     "use_sliding_window is true"},
    {"sliding layers", R"({"layer_types": ["full_attention", "sliding_attention"]})",
     "layer_types is ["},
    {"quantised", R"({"quantization_config": {"quant_method": "gptq"}})",
     "quantization_config is {"},
    {"tie a number", R"({"tie_word_embeddings": 1})", "tie_word_embeddings is 1, expected true or"},
    {"bias a text", R"({"attention_bias": "no"})", "attention_bias is \"no\""},
    {"bos outside", R"({"bos_token_id": 49152})", "bos_token_id is 49152, expected a whole number"},
    {"bos negative", R"({"bos_token_id": -1})", "bos_token_id is -1"},
    {"two bos", R"({"bos_token_id": [1, 2]})", "bos_token_id is [1,2], expected one token"},
    {"eos outside", R"({"eos_token_id": [2, 50000]})", "eos_token_id is [2,50000]"},
    {"eos a text", R"({"eos_token_id": "</s>"})", "eos_token_id is \"</s>\""},
    {"other architecture", R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"})",
     "architecture 'GPT2LMHeadModel' with model_type 'gpt2' is not supported, expected one of "
     "Llama"},
    {"architecture and type differ", R"({"model_type": "qwen2"})",
     "with model_type 'qwen2' is not"},
    {"mistral", R"({"architectures": ["MistralForCausalLM"], "model_type": "mistral"})",
     "'mistral'"},
    {"no architecture", R"({"architectures": null, "model_type": null})", "architecture '' with"},
    {"two architectures", R"({"architectures": ["LlamaForCausalLM", "X"]})", "a list of one name"},
    {"architectures a text", R"({"architectures": "LlamaForCausalLM"})", "a list of one name"},
    {"type a number", R"({"model_type": 7})", "model_type is 7, expected a text"},
};

TEST(Config, RefusesEveryNonsense) {
  for (const Malformed& c : kMalformed) {
    SCOPED_TRACE(c.name);
    // merge_patch drops a field for null, which reads as missing.
    expect_refused(c.phrase, [&] { parse(with(llama(), c.patch)); });
    expect_refused("config.json: ", [&] { parse(with(llama(), c.patch)); });
  }
  expect_refused("use_sliding_window is true",
                 [&] { parse(with(qwen2(), R"({"use_sliding_window": true})")); });
}

TEST(Config, RefusesTextThatIsNoObjectOfItsOwn) {
  const auto refused = [](const std::string& text, const char* phrase) {
    SCOPED_TRACE(text);
    expect_refused(phrase, [&] { parse_config(text, "config.json"); });
  };
  refused("", "config.json: not valid JSON");
  refused("[]", "config.json: is [], expected a JSON object");
  refused("3", "config.json: is 3, expected a JSON object");
  refused(R"({"rope_theta": NaN})", "not valid JSON");
  refused(R"({"hidden_size": 1, "hidden_size": 2})", "key 'hidden_size' is given twice");
  refused(std::string(40, '['), "nested deeper than 32 levels");
}

TEST(Config, AFileCutAnywhereIsRefused) {
  testing::expect_truncations_refused(llama().dump(),
                                      [](const std::string& path) { read_config(path); });
}

TEST(Config, ReadsOrRefusesRandomChanges) {
  const int refused = testing::read_mutations(llama().dump(), 4000, 3, [](const std::string& path) {
    (void)rope_inverse_frequencies(read_config(path));
  });
  EXPECT_GT(refused, 2000);
  EXPECT_LT(refused, 4000);
}

TEST(Config, AConfigurationOfMegabytesIsRefused) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("config.json", std::string((1 << 20) + 1, ' '));
  expect_refused("at most 1048576 expected", [&] { read_config(path); });
}

// --- GGUF --------------------------------------------------------------------------------------

struct Key {
  std::string name;
  std::string entry;
};

std::vector<Key> gguf_keys(const std::string& arch = "llama") {
  using B = GgufBuilder;
  const auto u32 = [&](const std::string& name, uint32_t v) {
    return Key{arch + "." + name, B::key(arch + "." + name, 4, testing::raw(v))};
  };
  const auto f32 = [&](const std::string& name, float v) {
    return Key{arch + "." + name, B::key(arch + "." + name, 6, testing::raw(v))};
  };
  return {{"general.architecture", B::key("general.architecture", 8, B::text(arch))},
          u32("embedding_length", 16),
          u32("feed_forward_length", 24),
          u32("block_count", 2),
          u32("attention.head_count", 4),
          u32("attention.head_count_kv", 2),
          u32("context_length", 128),
          u32("vocab_size", 32),
          u32("rope.dimension_count", 4),
          f32("attention.layer_norm_rms_epsilon", 1e-5f),
          f32("rope.freq_base", 5e5f)};
}

// Reads a GGUF without tensors whose key `name` is replaced by, or gains, `entry`.
ModelConfig read_gguf(const std::string& name = "", const std::string& entry = "",
                      const std::string& arch = "llama", GgufBuilder b = {}) {
  const TemporaryDirectory directory;
  for (const Key& key : gguf_keys(arch))
    if (key.name != name) b.add(key.entry);
  if (!entry.empty()) b.add(entry);
  return read_gguf_config(GgufFile::open(directory.write("a.gguf", b.bytes())));
}

ModelConfig read_gguf_u32(const std::string& name, uint32_t value) {
  return read_gguf(name, GgufBuilder::key(name, 4, testing::raw(value)));
}

TEST(Config, ReadsGgufMetadata) {
  const ModelConfig c = read_gguf();
  EXPECT_EQ(c.architecture, "llama");
  EXPECT_EQ(c.head_dim, 4);
  EXPECT_EQ(c.num_key_value_heads, 2);
  EXPECT_EQ(c.vocab_size, 32);
  EXPECT_EQ(c.rms_norm_eps, 1e-5);  // not the f32 nearest to it
  EXPECT_EQ(c.rope_theta, 5e5);
  EXPECT_TRUE(c.tie_word_embeddings);  // no output.weight
  EXPECT_FALSE(c.attention_bias);
  EXPECT_FALSE(c.bos_token_id);
  EXPECT_TRUE(read_gguf("", "", "qwen2").attention_bias);
  EXPECT_EQ(read_gguf("llama.attention.head_count_kv").num_key_value_heads, 4);
  EXPECT_EQ(read_gguf("llama.rope.freq_base").rope_theta, 1e4);
  EXPECT_EQ(read_gguf_u32("tokenizer.ggml.eos_token_id", 31).eos_token_ids,
            std::vector<int64_t>{31});
}

TEST(Config, RefusesNonsenseInGgufMetadata) {
  using B = GgufBuilder;
  const auto u32 = [](const char* name, uint32_t value, const char* phrase) {
    SCOPED_TRACE(fmt::format("{} = {}", name, value));
    expect_refused(phrase, [&] { read_gguf_u32(name, value); });
  };
  u32("llama.attention.head_count", 0, "llama.attention.head_count is 0, expected a whole number");
  u32("llama.attention.head_count", 3, "embedding_length is 16, expected a multiple of");
  u32("llama.attention.head_count_kv", 3, "head_count_kv is 3, expected a divisor of");
  u32("llama.block_count", UINT32_MAX, "llama.block_count is 4294967295");
  u32("llama.vocab_size", 0, "llama.vocab_size is 0");
  u32("llama.attention.key_length", 5, "llama.attention.key_length is 5, expected an even number");
  u32("llama.attention.value_length", 8, "llama.attention.value_length is 8");
  u32("llama.rope.dimension_count", 2, "llama.rope.dimension_count is 2, expected 4");
  u32("llama.expert_count", 8, "llama.expert_count is 8, expected 0");
  u32("llama.attention.sliding_window", 64, "llama.attention.sliding_window is 64");
  u32("tokenizer.ggml.bos_token_id", 32, "bos_token_id is 32, expected a token from 0 to 31");
  u32("split.count", 3, "split.count is 3, expected one file");
  u32("llama.rope.freq_base", 7, "key 'llama.rope.freq_base' is of type u32, expected f32 or f64");

  const auto f32 = [](const char* name, float value, const char* phrase) {
    SCOPED_TRACE(fmt::format("{} = {}", name, value));
    expect_refused(phrase, [&] { read_gguf(name, B::key(name, 6, testing::raw(value))); });
  };
  f32("llama.rope.freq_base", NAN, "llama.rope.freq_base is nan");
  f32("llama.rope.freq_base", INFINITY, "llama.rope.freq_base is inf");
  f32("llama.rope.freq_base", 0, "llama.rope.freq_base is 0");
  f32("llama.attention.layer_norm_rms_epsilon", -1, "layer_norm_rms_epsilon is -1");
  f32("llama.rope.scale_linear", 2, "llama.rope.scale_linear is 2, expected 1");
  f32("llama.block_count", 2, "key 'llama.block_count' is of type f32, expected an integer");

  for (const char* key : {"general.architecture", "llama.embedding_length", "llama.block_count",
                          "llama.attention.layer_norm_rms_epsilon", "llama.context_length"})
    expect_refused(fmt::format("key '{}' is missing", key), [&] { read_gguf(key); });
  expect_refused("'token_embd.weight' is missing", [&] { read_gguf("llama.vocab_size"); });
  expect_refused("general.architecture is 'phi3', which is not supported, expected one of Llama",
                 [&] { read_gguf("", "", "phi3"); });
  expect_refused("llama.rope.scaling.type is yarn",
                 [&] { read_gguf("", B::key("llama.rope.scaling.type", 8, B::text("yarn"))); });
  expect_refused("is of type u32[2], expected an integer", [&] {
    read_gguf("llama.feed_forward_length", B::array("llama.feed_forward_length", 4, 2,
                                                    testing::raw(std::vector<uint32_t>{1, 2})));
  });
}

// Two frequencies, the second so slow that llama3 scaling divides it by the whole factor.
const std::string kSlowBase = GgufBuilder::key("llama.rope.freq_base", 6, testing::raw(5e9f));

// A file with rope_freqs.weight holding these divisors.
ModelConfig read_gguf_factors(std::vector<float> factors) {
  GgufBuilder b;
  b.add_tensor({"rope_freqs.weight", {factors.size()}, 0, testing::raw(factors)});
  return read_gguf("llama.rope.freq_base", kSlowBase, "llama", b);
}

TEST(Config, RecognisesLlama3ScalingByItsDivisors) {
  const ModelConfig plain = read_gguf("llama.rope.freq_base", kSlowBase);
  ModelConfig expected = plain;
  expected.rope_scaling = {.kind = RopeScaling::Kind::llama3, .factor = 32};
  EXPECT_EQ(read_gguf_factors({1, 32}), expected);
  EXPECT_EQ(read_gguf_factors({1, 1}), plain);
  expect_refused("tensor 'rope_freqs.weight': factor 0 is 2", [&] { read_gguf_factors({2, 32}); });
  expect_refused("tensor 'rope_freqs.weight': factor 0 is nan", [&] {
    read_gguf_factors({NAN, 32});
  });
  expect_refused("tensor 'rope_freqs.weight': factor 1 is 0", [&] { read_gguf_factors({1, 0}); });
  expect_refused("shape [3], expected [2]", [&] { read_gguf_factors({1, 1, 1}); });
}

}  // namespace
}  // namespace halftone
