// No key of a config.json that may change the mathematics is passed over.
#include <gtest/gtest.h>

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
using testing::with;

// What published Llamas, Mistrals and Qwens, and the tools that change them, write beside the
// model.
TEST(ConfigKeys, BookkeepingTrainingAndGenerationAreHarmless) {
  const Json harmless = Json::parse(R"({
    "_name_or_path": "x", "transformers_version": "4.42.3", "initializer_range": 0.02,
    "use_cache": true, "attention_dropout": 0.1, "pretraining_tp": 2, "torch_dtype": "bfloat16",
    "dtype": "float16", "is_llama_config": true, "unsloth_version": "2024.9", "unsloth_fixed": true,
    "auto_map": {"AutoConfig": "c.C"}, "_attn_implementation_autoset": true,
    "_attn_implementation": "sdpa", "_flash_attn_2_enabled": true, "attn_implementation": "eager",
    "transformers.js_config": {"dtype": "q4"}, "max_sequence_length": 2048,
    "model_max_length": 4096, "temperature": 0.9, "top_p": 0.6, "top_k": 50, "do_sample": true,
    "max_length": 4096, "min_length": 0, "num_beams": 1, "repetition_penalty": 1.1,
    "bad_words_ids": [[1]], "output_attentions": false, "output_hidden_states": false,
    "return_dict": true, "torchscript": false, "id2label": {"0": "A"}, "label2id": {"A": 0},
    "problem_type": null, "chunk_size_feed_forward": 0, "is_decoder": true, "prefix": "a",
    "sep_token_id": 3, "unk_token_id": 0, "task_specific_params": {}, "tokenizer_class": "T",
    "gradient_checkpointing": false, "neftune_noise_alpha": 5, "max_window_layers": 28,
    "architectures": ["LlamaForCausalLM"], "head_dim": 64, "pad_token_id": 0})");
  for (const auto& [key, value] : harmless.items()) {
    SCOPED_TRACE(key);
    Json json = llama();
    json[key] = value;
    ModelConfig c = parse(json);
    c.pad_token_id = {};
    EXPECT_EQ(c, parse(llama()));
  }
}

TEST(ConfigKeys, AnyOtherIsRefusedByName) {
  for (const char* key :
       {"scale_depth", "no_rope_layers", "sliding_window_pattern", "hidden_act2", "Hidden_size",
        "_remove_final_layer_norm", "per_layer_config", "n_embd"}) {
    SCOPED_TRACE(key);
    Json json = llama();
    json[key] = 2;
    expect_refused(fmt::format("config.json: {} is 2, which is on no list of keys", key),
                   [&] { parse(json); });
    json[key] = nullptr;
    EXPECT_EQ(parse(json), parse(llama())) << "null is absent";
  }
  Json control = llama();
  control["a\nb"] = "c\nd";
  expect_refused("which is on no list of keys", [&] { parse(control); });
}

struct Neutral {
  const char* key;
  std::vector<const char*> accepted;
  const char* refused;
  const char* expected;
};

const Neutral kNeutral[] = {
    {"rope_interleaved", {"false"}, "true", "false"},
    {"is_encoder_decoder", {"false"}, "true", "false"},
    {"add_cross_attention", {"false"}, "true", "false"},
    {"tie_encoder_decoder", {"false"}, "true", "false"},
    {"is_causal", {"true"}, "false", "true"},
    {"use_bidirectional_attention", {"false"}, "true", "false"},
    {"parallel_attn", {"false"}, "true", "false"},
    {"qk_norm", {"false"}, "true", "false"},
    {"use_qk_norm", {"false"}, "true", "false"},
    {"use_mrope", {"false"}, "true", "false"},
    {"attn_logit_softcapping", {"0", "0.0", "false"}, "50.0", "false"},
    {"final_logit_softcapping", {"0"}, "30.0", "false"},
    {"clip_qkv", {"0"}, "8.0", "false"},
    {"num_experts", {"0"}, "8", "false"},
    {"num_local_experts", {"0"}, "8", "false"},
    {"logit_scale", {"1", "1.0"}, "0.0625", "1"},
    {"logits_scaling", {"1"}, "8.0", "1"},
    {"embedding_multiplier", {"1.0"}, "12.0", "1"},
    {"residual_multiplier", {"1.0"}, "0.22", "1"},
    {"attention_multiplier", {"0.125", "0.12500001"}, "0.0078125", "0.125"},
    {"query_pre_attn_scalar", {"64"}, "256", "64"},
    {"hidden_activation", {"\"silu\""}, "\"gelu_pytorch_tanh\"", "\"silu\""},
    {"partial_rotary_factor", {"1", "1.0"}, "0.5", "1"},
    {"pruned_heads", {"{}"}, R"({"1": [2]})", "{}"},
    {"num_key_value_groups", {"3"}, "1", "3"},
    {"qkv_bias", {"false"}, "true", "false"},
};

TEST(ConfigKeys, PartsThatAreNotThereMustBeSwitchedOff) {
  for (const Neutral& row : kNeutral) {
    SCOPED_TRACE(row.key);
    Json json = llama();
    for (const char* value : row.accepted) {
      json[row.key] = Json::parse(value);
      EXPECT_EQ(parse(json), parse(llama())) << value;
    }
    json[row.key] = Json::parse(row.refused);
    expect_refused(fmt::format("config.json: {} is {}, expected {}", row.key, json[row.key].dump(),
                               row.expected),
                   [&] { parse(json); });
  }
}

TEST(ConfigKeys, BiasesMustBeThoseOfTheArchitecture) {
  const auto refused = [](const Json& json, const char* phrase) {
    expect_refused(phrase, [&] { parse(json); });
  };
  EXPECT_EQ(parse(with(qwen2(), R"({"attention_bias": true, "mlp_bias": false})")), parse(qwen2()));
  refused(with(qwen2(), R"({"attention_bias": false})"), "attention_bias is false, expected true");
  refused(with(qwen2(), R"({"mlp_bias": true})"), "mlp_bias is true, expected false");
  EXPECT_EQ(parse(with(mistral(), R"({"attention_bias": false})")), parse(mistral()));
  refused(with(mistral(), R"({"attention_bias": true})"), "attention_bias is true, expected false");
}

}  // namespace
}  // namespace halftone
