#include "halftone/model/config.h"

#include "config_testing.h"
#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::expect_refused;
using testing::Json;
using testing::llama;
using testing::mistral;
using testing::parse;
using testing::qwen2;
using testing::TemporaryDirectory;
using testing::with;

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

TEST(Config, ReadsTheFirstNameOfLlama) {
  EXPECT_EQ(parse(with(llama(), R"({"architectures": ["LLaMAForCausalLM"]})")), parse(llama()));
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
  const char* fields[] = {"num_key_value_heads",
                          "max_position_embeddings",
                          "rms_norm_eps",
                          "rope_theta",
                          "tie_word_embeddings",
                          "attention_bias",
                          "mlp_bias",
                          "bos_token_id",
                          "eos_token_id",
                          "hidden_act"};
  for (const char* name : {"architectures", "model_type"})
    for (const bool null : {false, true}) {
      Json bare = llama();
      bare.erase(name);
      for (const char* field : fields) {
        bare.erase(field);
        if (null) bare[field] = nullptr;
      }
      const ModelConfig c = parse(bare);
      EXPECT_EQ(c.num_key_value_heads, 9);
      EXPECT_EQ(c.max_position_embeddings, 2048);
      EXPECT_EQ(c.rms_norm_eps, 1e-6);
      EXPECT_EQ(c.rope_theta, 1e4);
      EXPECT_FALSE(c.tie_word_embeddings);
      EXPECT_FALSE(c.bos_token_id || c.pad_token_id);
      EXPECT_TRUE(c.eos_token_ids.empty());
    }
}

TEST(Config, ReadsAMistral) {
  const ModelConfig c = parse(mistral());
  EXPECT_EQ(c.architecture, "mistral");
  EXPECT_EQ(c.head_dim, 128);
  EXPECT_EQ(c.sliding_window, 4096);
  EXPECT_FALSE(c.attention_bias || c.attention_output_bias || c.mlp_bias);
  const ModelConfig bare =
      parse(with(mistral(), R"({"num_key_value_heads": null, "max_position_embeddings": null})"));
  EXPECT_EQ(bare.num_key_value_heads, 8);
  EXPECT_EQ(bare.max_position_embeddings, 131072);
  Json null = mistral();
  null["num_key_value_heads"] = nullptr;
  EXPECT_EQ(parse(null).num_key_value_heads, 32);
}

TEST(Config, MinusOneIsNoTokenAndOthersMayLieOutsideTheVocabulary) {
  const ModelConfig none =
      parse(with(llama(), R"({"bos_token_id": -1, "eos_token_id": [-1], "pad_token_id": -1})"));
  EXPECT_FALSE(none.bos_token_id || none.pad_token_id);
  EXPECT_TRUE(none.eos_token_ids.empty());
  const ModelConfig far =
      parse(with(llama(), R"({"bos_token_id": 151643, "eos_token_id": [2, -1, 151645]})"));
  EXPECT_EQ(far.bos_token_id, 151643);
  EXPECT_EQ(far.eos_token_ids, (std::vector<int64_t>{2, 151645}));
  EXPECT_EQ(parse(with(llama(), R"({"pad_token_id": 49151})")).pad_token_id, 49151);
}

TEST(Config, HeadDimNeedNotBeAShareOfTheHiddenSize) {
  EXPECT_EQ(parse(with(llama(), R"({"hidden_size": 500, "head_dim": 128})")).head_dim, 128);
}

TEST(Config, WhatIsWrittenIsReadBack) {
  for (const Json& json :
       {llama(), mistral(), qwen2(), with(llama(), R"({"attention_bias": true})"),
        with(llama(), R"({"bos_token_id": null, "eos_token_id": null, "pad_token_id": 0})"),
        with(llama(), R"({"sliding_window": 4096, "eos_token_id": [2, 50000]})")}) {
    const ModelConfig c = parse(json);
    const std::string text = config_json(c, DType::f16);
    EXPECT_EQ(parse_config(text, "written"), c) << text;
    EXPECT_EQ(Json::parse(text)["dtype"], "float16");
    EXPECT_EQ(Json::parse(text)["torch_dtype"], "float16");
  }
}

TEST(Config, BiasesWithoutASpellingAreTheCallersMistake) {
  ModelConfig c = parse(llama());
  c.attention_bias = true;
  EXPECT_THROW(config_json(c, DType::f32), std::invalid_argument);
  c = parse(mistral());
  c.attention_bias = c.attention_output_bias = true;
  EXPECT_THROW(config_json(c, DType::f32), std::invalid_argument);
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
    {"partial rope", R"({"partial_rotary_factor": 0.5})",
     "partial_rotary_factor is 0.5, expected 1"},
    {"gelu", R"({"hidden_act": "gelu"})", "hidden_act is \"gelu\", expected \"silu\""},
    {"quantised", R"({"quantization_config": {"quant_method": "gptq"}})",
     "quantization_config.quant_method is \"gptq\", expected \"compressed-tensors\""},
    {"tie a number", R"({"tie_word_embeddings": 1})", "tie_word_embeddings is 1, expected true or"},
    {"bias a text", R"({"attention_bias": "no"})", "attention_bias is \"no\""},
    {"bos below -1", R"({"bos_token_id": -2})", "bos_token_id is -2"},
    {"pad outside", R"({"pad_token_id": 49152})",
     "pad_token_id is 49152, expected a whole number from -1 to 49151"},
    {"two bos", R"({"bos_token_id": [1, 2]})", "bos_token_id is [1,2], expected one token"},
    {"eos a text", R"({"eos_token_id": "</s>"})", "eos_token_id is \"</s>\""},
    {"other architecture", R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"})",
     "architecture 'GPT2LMHeadModel' with model_type 'gpt2' is not supported, expected one of "
     "Llama"},
    {"architecture and type differ", R"({"model_type": "qwen2"})",
     "with model_type 'qwen2' is not"},
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
    (void)rope_frequencies(read_config(path), 64);
  });
  EXPECT_GT(refused, 2000);
  EXPECT_LT(refused, 4000);
}

TEST(Config, AConfigurationOfMegabytesIsRefused) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("config.json", std::string((1 << 20) + 1, ' '));
  expect_refused("at most 1048576 expected", [&] { read_config(path); });
}

}  // namespace
}  // namespace halftone
