// OPT and Gemma 3: published configurations, and what is refused by name.
#include <gtest/gtest.h>

#include "config_testing.h"
#include "halftone/model/spec.h"
#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::expect_refused;
using testing::Json;
using testing::parse;
using testing::with;

Json opt() {
  return Json::parse(R"({
    "_name_or_path": "facebook/opt-350m", "activation_dropout": 0.0,
    "activation_function": "relu", "architectures": ["OPTForCausalLM"], "attention_dropout": 0.0,
    "bos_token_id": 2, "do_layer_norm_before": false, "dropout": 0.1, "eos_token_id": 2,
    "ffn_dim": 4096, "hidden_size": 1024, "init_std": 0.02, "layerdrop": 0.0,
    "max_position_embeddings": 2048, "model_type": "opt", "num_attention_heads": 16,
    "num_hidden_layers": 24, "pad_token_id": 1, "prefix": "</s>", "torch_dtype": "float16",
    "transformers_version": "4.20.0.dev0", "use_cache": true, "vocab_size": 50272,
    "word_embed_proj_dim": 512})");
}

Json gemma() {
  return Json::parse(R"({
    "architectures": ["Gemma3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
    "attn_logit_softcapping": null, "bos_token_id": 2, "cache_implementation": "hybrid",
    "eos_token_id": [1, 106], "final_logit_softcapping": null, "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 1152, "initializer_range": 0.02,
    "intermediate_size": 6912, "max_position_embeddings": 32768, "model_type": "gemma3_text",
    "num_attention_heads": 4, "num_hidden_layers": 26, "num_key_value_heads": 1,
    "pad_token_id": 0, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000, "rope_scaling": null, "rope_theta": 1000000,
    "sliding_window": 512, "sliding_window_pattern": 6, "torch_dtype": "bfloat16",
    "transformers_version": "4.50.0.dev0", "use_cache": true, "vocab_size": 262144})");
}

std::string parts(const DecoderSpec& spec) {
  std::string out;
  for (const ExpectedWeight& weight : expected_weights(spec))
    if (weight.layer <= 0) out += weight.name + "\n";
  return out;
}

TEST(ConfigOpt, OfOpt350mHasNormsBehindItsHalvesAndProjections) {
  const ModelConfig c = parse(opt());
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_EQ(parameter_count(decoder_spec(c)), 331196416);
  EXPECT_EQ(parts(decoder_spec(c)),
            "model.decoder.embed_tokens.weight\n"
            "model.decoder.embed_positions.weight\n"
            "model.decoder.project_in.weight\n"
            "model.decoder.layers.0.self_attn_layer_norm.weight\n"
            "model.decoder.layers.0.self_attn_layer_norm.bias\n"
            "model.decoder.layers.0.self_attn.q_proj.weight\n"
            "model.decoder.layers.0.self_attn.q_proj.bias\n"
            "model.decoder.layers.0.self_attn.k_proj.weight\n"
            "model.decoder.layers.0.self_attn.k_proj.bias\n"
            "model.decoder.layers.0.self_attn.v_proj.weight\n"
            "model.decoder.layers.0.self_attn.v_proj.bias\n"
            "model.decoder.layers.0.self_attn.out_proj.weight\n"
            "model.decoder.layers.0.self_attn.out_proj.bias\n"
            "model.decoder.layers.0.final_layer_norm.weight\n"
            "model.decoder.layers.0.final_layer_norm.bias\n"
            "model.decoder.layers.0.fc1.weight\n"
            "model.decoder.layers.0.fc1.bias\n"
            "model.decoder.layers.0.fc2.weight\n"
            "model.decoder.layers.0.fc2.bias\n"
            "model.decoder.project_out.weight\n");
  EXPECT_EQ(decoder_spec(c).longest_context(), 2048);
}

TEST(ConfigOpt, OtherPartsAreRefusedByName) {
  const auto refused = [](const char* patch, const char* message) {
    expect_refused(message, [&] { parse(with(opt(), patch)); });
  };
  refused(R"({"activation_function": "gelu"})",
          "activation_function is \"gelu\", expected \"relu\"");
  refused(R"({"rope_theta": 10000})", "rope_theta is 10000, which is on no list");
  refused(R"({"sliding_window": 64})", "sliding_window is 64, which is on no list");
  refused(R"({"num_attention_heads": 15})", "hidden_size is 1024, expected a multiple of");
  refused(R"({"do_layer_norm_before": 1})", "do_layer_norm_before is 1, expected true or false");
  refused(R"({"ffn_dim": null})", "ffn_dim is missing");
}

TEST(ConfigGemma3, OfGemma3OneBReadsEitherSpelling) {
  const ModelConfig c = parse(gemma());
  EXPECT_EQ(parameter_count(decoder_spec(c)), 999885952);
  EXPECT_EQ(c.rope_theta, 1e6);
  EXPECT_EQ(c.rope_local_base_freq, 1e4);
  EXPECT_TRUE(needs_bos_in_windows(c));
  const DecoderSpec spec = decoder_spec(c);
  for (size_t i = 0; i < spec.blocks.size(); ++i) {
    EXPECT_EQ(spec.blocks[i].window, i % 6 == 5 ? 0 : 512) << i;
    EXPECT_EQ(spec.blocks[i].rotary, i % 6 == 5 ? 0 : 1) << i;
  }
  Json newer = Json::parse(config_json(c, DType::bf16));
  for (const char* key : {"rope_theta", "rope_local_base_freq", "rope_scaling"}) newer.erase(key);
  EXPECT_EQ(parse(newer), c);
}

TEST(ConfigGemma3, OtherPartsAreRefusedByName) {
  const auto refused = [](const char* patch, const char* message) {
    expect_refused(message, [&] { parse(with(gemma(), patch)); });
  };
  refused(R"({"final_logit_softcapping": 30.0})", "final_logit_softcapping is 30.0, expected");
  refused(R"({"attn_logit_softcapping": 50.0})", "attn_logit_softcapping is 50.0, expected");
  refused(R"({"use_bidirectional_attention": true})", "use_bidirectional_attention is true");
  refused(R"({"hidden_activation": "silu"})", "hidden_activation is \"silu\", expected");
  refused(R"({"sliding_window_pattern": 0})", "sliding_window_pattern is 0, expected");
  refused(R"({"layer_types": ["full_attention"]})", "expected a list of 26 names");
  refused(R"({"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}})",
          "rope_parameters.rope_");
  refused(R"({"rope_parameters": {"sliding_attention": {"rope_type": "linear", "factor": 2.0}}})",
          "rope_parameters.sliding_attention.rope_type is \"linear\", expected \"default\"");
  refused(R"({"rope_scaling": {"rope_type": "linear", "factor": 8.0},
              "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 4.0}}})",
          "the same as rope_scaling");
  Json unknown_window = gemma();
  unknown_window["sliding_window"] = nullptr;
  expect_refused("sliding_window is null, expected a whole number", [&] { parse(unknown_window); });
}

}  // namespace
}  // namespace halftone
