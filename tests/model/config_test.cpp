#include "halftone/model/config.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numbers>

#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::expect_all_refused;
using testing::expect_truncations_refused;
using testing::MalformedCase;
using testing::read_mutations;
using testing::TemporaryDirectory;
using Json = nlohmann::json;

// A small Llama, as transformers 4 writes it.
Json llama_json() {
  return Json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "hidden_act": "silu", "vocab_size": 100,
    "max_position_embeddings": 512, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
    "rope_scaling": null, "attention_bias": false, "mlp_bias": false,
    "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2})");
}

// llama_json() with some fields replaced, and those set to "absent" removed.
std::string with(const std::string& changes) {
  const Json fields = Json::parse(changes);
  Json out = llama_json();
  for (const auto& [key, value] : fields.items()) {
    if (value == "absent") out.erase(key);
    else out[key] = value;
  }
  return out.dump();
}

ModelConfig parse(const std::string& text) { return parse_config(text, "config.json"); }

const char* kLlama3 =
    R"({"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192})";

TEST(ModelConfig, IsReadFromConfigJson) {
  const ModelConfig config = parse(llama_json().dump());
  EXPECT_EQ(config.architecture, "llama");
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.intermediate_size, 96);
  EXPECT_EQ(config.num_hidden_layers, 2);
  EXPECT_EQ(config.num_attention_heads, 4);
  EXPECT_EQ(config.num_key_value_heads, 2);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.vocab_size, 100);
  EXPECT_EQ(config.max_position_embeddings, 512);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_EQ(config.rope_theta, 10000);
  EXPECT_EQ(config.rope_scaling.kind, RopeScaling::Kind::none);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_FALSE(config.attention_bias || config.attention_output_bias || config.mlp_bias);
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_EQ(config.eos_token_ids, std::vector<int64_t>{2});
}

TEST(ModelConfig, FieldsLeftOutHaveTheDefaultsOfTransformers) {
  const ModelConfig config = parse(
      with(R"({"num_key_value_heads": null, "rms_norm_eps": "absent", "rope_theta": "absent",
               "tie_word_embeddings": "absent", "max_position_embeddings": "absent",
               "bos_token_id": null, "eos_token_id": "absent", "head_dim": null})"));
  EXPECT_EQ(config.num_key_value_heads, 4);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope_theta, 10000);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(config.max_position_embeddings, 2048);
  EXPECT_FALSE(config.bos_token_id);
  EXPECT_TRUE(config.eos_token_ids.empty());
  EXPECT_EQ(config.head_dim, 16);
}

TEST(ModelConfig, HeadDimMayDifferFromTheHiddenSizeOverTheHeads) {
  EXPECT_EQ(parse(with(R"({"head_dim": 32})")).head_dim, 32);
}

TEST(ModelConfig, BothSpellingsOfTheRotarySettingsAreUnderstood) {
  const std::string scaling = kLlama3;
  const ModelConfig old_spelling =
      parse(with(R"({"rope_theta": 500000.0, "rope_scaling": )" + scaling + "}"));
  Json parameters = Json::parse(scaling);
  parameters["rope_theta"] = 500000.0;
  const ModelConfig new_spelling =
      parse(with(R"({"rope_theta": "absent", "rope_parameters": )" + parameters.dump() + "}"));
  EXPECT_EQ(old_spelling, new_spelling);
  EXPECT_EQ(new_spelling.rope_theta, 500000);
  EXPECT_EQ(new_spelling.rope_scaling.kind, RopeScaling::Kind::llama3);
  EXPECT_EQ(new_spelling.rope_scaling.factor, 32);
  EXPECT_EQ(new_spelling.rope_scaling.low_freq_factor, 1);
  EXPECT_EQ(new_spelling.rope_scaling.high_freq_factor, 4);
  EXPECT_EQ(new_spelling.rope_scaling.original_max_position_embeddings, 8192);
}

TEST(ModelConfig, BiasesFollowTheArchitecture) {
  const ModelConfig qwen2 =
      parse(with(R"({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
                     "attention_bias": "absent", "use_sliding_window": false,
                     "sliding_window": 32768})"));
  EXPECT_EQ(qwen2.architecture, "qwen2");
  EXPECT_TRUE(qwen2.attention_bias);
  EXPECT_FALSE(qwen2.attention_output_bias || qwen2.mlp_bias);
  const ModelConfig llama = parse(with(R"({"attention_bias": true, "mlp_bias": true})"));
  EXPECT_TRUE(llama.attention_bias && llama.attention_output_bias && llama.mlp_bias);
}

TEST(ModelConfig, EndTokensMayBeAList) {
  EXPECT_EQ(parse(with(R"({"eos_token_id": [3, 5, 7]})")).eos_token_ids,
            (std::vector<int64_t>{3, 5, 7}));
}

TEST(ModelConfig, WhatIsWrittenIsReadBackEqual) {
  for (const std::string& text :
       {llama_json().dump(), with(R"({"rope_scaling": )" + std::string(kLlama3) + "}"),
        with(R"({"attention_bias": true, "mlp_bias": true, "eos_token_id": [3, 5]})"),
        with(R"({"bos_token_id": null, "eos_token_id": null, "head_dim": 32})"),
        with(R"({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"})")}) {
    const ModelConfig config = parse(text);
    EXPECT_EQ(parse(config_json(config, DType::f16)), config) << text;
  }
}

TEST(ModelConfig, IsWrittenInTheSpellingsOfTransformers4And5) {
  const Json out = Json::parse(config_json(
      parse(with(R"({"rope_theta": 500000.0, "rope_scaling": )" + std::string(kLlama3) + "}")),
      DType::f16));
  EXPECT_EQ(out["architectures"], Json({"LlamaForCausalLM"}));
  EXPECT_EQ(out["model_type"], "llama");
  EXPECT_EQ(out["rope_theta"], 500000.0);
  EXPECT_EQ(out["rope_scaling"], Json::parse(kLlama3));
  EXPECT_EQ(out["rope_parameters"]["rope_theta"], 500000.0);
  EXPECT_EQ(out["rope_parameters"]["rope_type"], "llama3");
  EXPECT_EQ(out["torch_dtype"], "float16");
  EXPECT_EQ(out["dtype"], "float16");
  EXPECT_FALSE(out.contains("quantization_config"));
}

TEST(ModelConfig, BiasesWithoutASpellingAreNotWritten) {
  ModelConfig config = parse(llama_json().dump());
  config.attention_bias = true;  // of q, k and v alone: a Llama has none such
  EXPECT_THROW(config_json(config, DType::f16), std::invalid_argument);
}

TEST(RopeFrequencies, ArePowersOfThetaWithoutScaling) {
  const ModelConfig config = parse(llama_json().dump());
  const std::vector<double> found = rope_inverse_frequencies(config);
  ASSERT_EQ(found.size(), 8u);
  for (int i = 0; i < 8; ++i) EXPECT_DOUBLE_EQ(found[i], std::pow(10000.0, -i / 8.0));
}

// By wavelengths, as the paper's code has it.
TEST(RopeFrequencies, Llama3ScalingDividesTheLongWavesAndBlendsTheMiddle) {
  const ModelConfig config =
      parse(with(R"({"head_dim": 64, "rope_theta": 500000.0, "rope_scaling": )" +
                 std::string(kLlama3) + "}"));
  const std::vector<double> found = rope_inverse_frequencies(config);
  ASSERT_EQ(found.size(), 32u);
  int kept = 0, divided = 0, blended = 0;
  for (int i = 0; i < 32; ++i) {
    const double f = std::pow(500000.0, -i / 32.0), wave = 2 * std::numbers::pi / f;
    double expected;
    if (wave < 8192 / 4.0) {
      expected = f;
      ++kept;
    } else if (wave > 8192 / 1.0) {
      expected = f / 32;
      ++divided;
    } else {
      const double smooth = (8192 / wave - 1) / (4 - 1.0);
      expected = (1 - smooth) * f / 32 + smooth * f;
      ++blended;
    }
    EXPECT_NEAR(found[i] / expected, 1, 1e-14) << i;
  }
  EXPECT_TRUE(kept > 0 && divided > 0 && blended > 0);
}

MalformedCase changed(const char* name, const std::string& changes, const std::string& phrase) {
  return {name, with(changes), phrase};
}

std::string scaling_with(const std::string& changes) {
  const Json fields = Json::parse(changes);
  Json scaling = Json::parse(kLlama3);
  for (const auto& [key, value] : fields.items()) {
    if (value == "absent") scaling.erase(key);
    else scaling[key] = value;
  }
  return R"({"rope_scaling": )" + scaling.dump() + "}";
}

TEST(MalformedConfig, ValuesWithoutMeaningAreRefusedByFieldAndValue) {
  expect_all_refused(
      {
          changed("no heads", R"({"num_attention_heads": 0})",
                  "num_attention_heads is 0, expected a whole number from 1"),
          changed("heads do not divide", R"({"num_attention_heads": 6})",
                  "hidden_size is 64, expected a multiple of num_attention_heads = 6"),
          changed("key heads do not divide", R"({"num_key_value_heads": 3})",
                  "num_key_value_heads is 3, expected a divisor of num_attention_heads = 4"),
          changed("more key heads", R"({"num_key_value_heads": 8})", "num_key_value_heads is 8"),
          changed("no key heads", R"({"num_key_value_heads": 0})", "num_key_value_heads is 0"),
          changed("negative hidden", R"({"hidden_size": -64})", "hidden_size is -64"),
          changed("fraction", R"({"hidden_size": 64.5})", "hidden_size is 64.5"),
          changed("float", R"({"hidden_size": 64.0})", "hidden_size is 64.0"),
          changed("text", R"({"hidden_size": "64"})", "hidden_size is \"64\""),
          changed("list", R"({"hidden_size": [64]})", "hidden_size is [64]"),
          changed("huge", R"({"hidden_size": 1099511627776})", "hidden_size is 1099511627776"),
          changed("2^64 - 1", R"({"hidden_size": 18446744073709551615})",
                  "hidden_size is 18446744073709551615"),
          changed("missing hidden", R"({"hidden_size": "absent"})", "hidden_size is missing"),
          changed("null hidden", R"({"hidden_size": null})", "hidden_size is missing"),
          changed("missing layers", R"({"num_hidden_layers": "absent"})",
                  "num_hidden_layers is missing"),
          changed("no layers", R"({"num_hidden_layers": 0})", "num_hidden_layers is 0"),
          changed("a million layers", R"({"num_hidden_layers": 1000000})",
                  "num_hidden_layers is 1000000"),
          changed("missing intermediate", R"({"intermediate_size": "absent"})",
                  "intermediate_size is missing"),
          changed("no intermediate", R"({"intermediate_size": 0})", "intermediate_size is 0"),
          changed("no vocabulary", R"({"vocab_size": 0})", "vocab_size is 0"),
          changed("missing vocabulary", R"({"vocab_size": "absent"})", "vocab_size is missing"),
          changed("no positions", R"({"max_position_embeddings": 0})",
                  "max_position_embeddings is 0"),
          changed("odd head", R"({"head_dim": 15})", "head_dim is 15, expected an even number"),
          changed("no head", R"({"head_dim": 0})", "head_dim is 0"),
          changed("no eps", R"({"rms_norm_eps": 0})", "rms_norm_eps is 0"),
          changed("negative eps", R"({"rms_norm_eps": -1e-5})", "rms_norm_eps is -1e-05"),
          changed("eps a text", R"({"rms_norm_eps": "1e-5"})", "rms_norm_eps is \"1e-5\""),
          changed("theta zero", R"({"rope_theta": 0})", "rope_theta is 0"),
          changed("theta negative", R"({"rope_theta": -10000.0})", "rope_theta is -10000.0"),
          changed("theta a bool", R"({"rope_theta": true})", "rope_theta is true"),
          changed("tie a number", R"({"tie_word_embeddings": 1})",
                  "tie_word_embeddings is 1, expected true or false"),
          changed("bias a text", R"({"attention_bias": "no"})", "attention_bias is \"no\""),
          changed("begin token outside", R"({"bos_token_id": 100})",
                  "bos_token_id is 100, expected a whole number from 0 to 99"),
          changed("two begin tokens", R"({"bos_token_id": [1, 2]})", "bos_token_id is [1,2]"),
          changed("end token outside", R"({"eos_token_id": [2, 100]})", "eos_token_id is [2,100]"),
          changed("end token negative", R"({"eos_token_id": -1})", "eos_token_id is -1"),
      },
      [](const std::string& path) { read_config(path); });
}

TEST(MalformedConfig, WhatThisProgramDoesNotComputeIsRefusedByName) {
  const std::string qwen2 =
      R"("architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", )";
  expect_all_refused(
      {
          changed("other architecture",
                  R"({"architectures": ["MistralForCausalLM"], "model_type": "mistral"})",
                  "architecture 'MistralForCausalLM' with model_type 'mistral' is not supported, "
                  "expected one of LlamaForCausalLM (llama), Qwen2ForCausalLM (qwen2)"),
          changed("contradiction", R"({"model_type": "qwen2"})",
                  "architecture 'LlamaForCausalLM' with model_type 'qwen2'"),
          changed("no architecture", R"({"architectures": "absent", "model_type": "absent"})",
                  "architecture '' with model_type ''"),
          changed("two architectures", R"({"architectures": ["LlamaForCausalLM", "X"]})",
                  "architectures is [\"LlamaForCausalLM\",\"X\"], expected a list of one name"),
          changed("architectures a text", R"({"architectures": "LlamaForCausalLM"})",
                  "architectures is \"LlamaForCausalLM\""),
          changed("activation", R"({"hidden_act": "gelu"})",
                  "hidden_act is \"gelu\", expected \"silu\""),
          changed("window", "{" + qwen2 + R"("use_sliding_window": true, "sliding_window": 64})",
                  "use_sliding_window is true, expected no sliding window"),
          changed("Llama's window", R"({"sliding_window": 64})", "sliding_window is 64"),
          changed("window in layers", R"({"layer_types": ["full_attention", "sliding_attention"]})",
                  "expected \"full_attention\" for all layers"),
          changed("layer types", R"({"layer_types": "full_attention"})", "expected a list"),
          changed("quantised", R"({"quantization_config": {"quant_method": "gptq"}})",
                  "expected full-precision weights"),
          changed("partial rotation", R"({"partial_rotary_factor": 0.5})",
                  "partial_rotary_factor is 0.5, expected 1"),
      },
      [](const std::string& path) { read_config(path); });
}

TEST(MalformedConfig, RotarySettingsAreCheckedFieldByField) {
  const auto parameters = [](const std::string& fields) {
    return R"({"rope_parameters": {)" + fields + "}}";
  };
  expect_all_refused(
      {
          changed("unknown type", R"({"rope_scaling": {"type": "yarn", "factor": 4.0}})",
                  "rope_scaling.type is \"yarn\", expected \"default\" or \"llama3\""),
          changed("linear", R"({"rope_scaling": {"rope_type": "linear", "factor": 2.0}})",
                  "rope_scaling.rope_type is \"linear\""),
          changed("no object", R"({"rope_scaling": 4})", "rope_scaling is 4, expected an object"),
          changed("type a number", R"({"rope_scaling": {"rope_type": 3}})",
                  "rope_scaling.rope_type is 3, expected a text"),
          changed("no factor", scaling_with(R"({"factor": "absent"})"),
                  "rope_scaling.factor is missing"),
          changed("factor zero", scaling_with(R"({"factor": 0})"), "rope_scaling.factor is 0"),
          changed("low factor missing", scaling_with(R"({"low_freq_factor": "absent"})"),
                  "rope_scaling.low_freq_factor is missing"),
          changed("high factor zero", scaling_with(R"({"high_freq_factor": 0})"),
                  "rope_scaling.high_freq_factor is 0"),
          changed("factors crossed", scaling_with(R"({"low_freq_factor": 4.0})"),
                  "low_freq_factor is 4, expected less than high_freq_factor = 4"),
          changed("no context", scaling_with(R"({"original_max_position_embeddings": 0})"),
                  "original_max_position_embeddings is 0"),
          changed("theta twice", parameters(R"("rope_type": "default", "rope_theta": 5000.0)"),
                  "rope_parameters.rope_theta is 5000.0, expected 10000, as rope_theta says"),
          changed("theta zero", R"({"rope_theta": "absent", "rope_parameters": {"rope_theta": 0}})",
                  "rope_parameters.rope_theta is 0"),
          changed("for each layer type",
                  parameters(R"("full_attention": {"rope_theta": 10000.0})"),
                  "expected one rotary embedding for all layers"),
          changed("spellings contradict",
                  R"({"rope_scaling": )" + std::string(kLlama3) +
                      R"(, "rope_parameters": {"rope_type": "default"}})",
                  "expected the same as rope_scaling"),
          changed("partial in parameters", parameters(R"("partial_rotary_factor": 0.25)"),
                  "rope_parameters.partial_rotary_factor is 0.25, expected 1"),
      },
      [](const std::string& path) { read_config(path); });
}

TEST(MalformedConfig, TextThatIsNoStrictJsonIsRefused) {
  const std::string whole = llama_json().dump();
  const std::string start = whole.substr(0, whole.size() - 1);
  std::string deep = start + ",\"x\":";
  deep.append(100000, '[');
  expect_all_refused(
      {
          {"empty", "", "not valid JSON"},
          {"a list", "[]", "is [], expected a JSON object"},
          {"a number", "7", "is 7, expected a JSON object"},
          {"NaN", start + ",\"rope_theta2\":NaN}", "not valid JSON"},
          {"a key twice", start + ",\"hidden_size\":64}", "key 'hidden_size' is given twice"},
          {"a key twice inside", start + R"(,"x":[{"a":1,"a":2}]})", "key 'a' is given twice"},
          {"text behind", whole + "x", "not valid JSON"},
          {"zero byte", whole + std::string("\0garbage", 8), "a zero byte"},
          {"bad UTF-8", start + ",\"x\":\"\xff\"}", "not valid JSON"},
          {"deep", deep, "nested deeper than 32 levels"},
          {"beyond double", start + ",\"x\":1e999}", "not valid JSON"},
          {"too large", whole + std::string(1 << 20, ' '), "at most 1048576 expected"},
      },
      [](const std::string& path) { read_config(path); });
}

TEST(MalformedConfig, NoPrefixOfAFileIsAFile) {
  expect_truncations_refused(llama_json().dump(),
                             [](const std::string& path) { read_config(path); });
}

TEST(MalformedConfig, MutatedFilesAreReadOrRefused) {
  const std::string whole = with(R"({"rope_scaling": )" + std::string(kLlama3) + "}");
  const int refused = read_mutations(whole, 4000, 1, [](const std::string& path) {
    const ModelConfig config = read_config(path);
    for (double f : rope_inverse_frequencies(config)) EXPECT_TRUE(f > 0 && std::isfinite(f));
    EXPECT_EQ(parse_config(config_json(config, DType::f32), "again"), config);
  });
  EXPECT_GT(refused, 1000);
  EXPECT_LT(refused, 4000);
}

}  // namespace
}  // namespace halftone
