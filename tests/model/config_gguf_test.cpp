// Configurations from GGUF metadata.
#include <cmath>

#include "halftone/io/gguf.h"
#include "halftone/model/config.h"
#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::expect_refused;
using testing::GgufBuilder;
using testing::TemporaryDirectory;

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

TEST(ConfigGguf, ReadsGgufMetadata) {
  const ModelConfig c = read_gguf();
  EXPECT_EQ(c.architecture, "llama");
  EXPECT_EQ(c.head_dim, 4);
  EXPECT_EQ(c.num_key_value_heads, 2);
  EXPECT_EQ(c.vocab_size, 32);
  EXPECT_EQ(c.rms_norm_eps, 1e-5);  // not the f32 nearest to it
  EXPECT_EQ(c.rope_theta, 5e5);
  EXPECT_TRUE(c.tie_word_embeddings);  // no output.weight
  EXPECT_FALSE(c.attention_bias);
  EXPECT_FALSE(c.bos_token_id || c.pad_token_id || c.sliding_window);
  EXPECT_TRUE(read_gguf("", "", "qwen2").attention_bias);
  EXPECT_EQ(read_gguf("llama.attention.head_count_kv").num_key_value_heads, 4);
  EXPECT_EQ(read_gguf("llama.rope.freq_base").rope_theta, 1e4);
  EXPECT_EQ(read_gguf_u32("llama.attention.sliding_window", 64).sliding_window, 64);
  EXPECT_EQ(read_gguf_u32("llama.attention.sliding_window", 64).architecture, "mistral");
  EXPECT_FALSE(read_gguf_u32("llama.attention.sliding_window", 0).sliding_window);
}

TEST(ConfigGguf, ReadsSpecialTokens) {
  EXPECT_EQ(read_gguf_u32("tokenizer.ggml.bos_token_id", 500).bos_token_id, 500);
  EXPECT_EQ(read_gguf_u32("tokenizer.ggml.eos_token_id", 31).eos_token_ids,
            std::vector<int64_t>{31});
  EXPECT_EQ(read_gguf_u32("tokenizer.ggml.padding_token_id", 7).pad_token_id, 7);
  EXPECT_FALSE(read_gguf_u32("tokenizer.ggml.padding_token_id", UINT32_MAX).pad_token_id);
  EXPECT_TRUE(read_gguf_u32("tokenizer.ggml.eos_token_id", UINT32_MAX).eos_token_ids.empty());
}

TEST(ConfigGguf, RefusesNonsenseInGgufMetadata) {
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
  f32("llama.block_count", 2, "key 'llama.block_count' is of type f32, expected an integer");

  for (const char* key : {"general.architecture", "llama.embedding_length", "llama.block_count",
                          "llama.attention.layer_norm_rms_epsilon", "llama.context_length"})
    expect_refused(fmt::format("key '{}' is missing", key), [&] { read_gguf(key); });
  expect_refused("'token_embd.weight' is missing", [&] { read_gguf("llama.vocab_size"); });
  expect_refused("general.architecture is 'phi3', which is not supported, expected one of Llama",
                 [&] { read_gguf("", "", "phi3"); });
}

ModelConfig read_gguf_with_tensors(const std::vector<std::string>& names, const char* arch) {
  GgufBuilder b;
  for (const std::string& name : names) b.add_tensor({name, {8}, 0, std::string(32, '\0')});
  return read_gguf("", "", arch, b);
}

TEST(ConfigGguf, BiasesFollowFromTheTensors) {
  const std::string q = "blk.0.attn_q.bias", o = "blk.0.attn_output.bias",
                    gate = "blk.0.ffn_gate.bias";
  const ModelConfig all = read_gguf_with_tensors({q, o, gate}, "llama");
  EXPECT_EQ(all.architecture, "llama");
  EXPECT_TRUE(all.attention_bias && all.attention_output_bias && all.mlp_bias);
  EXPECT_EQ(read_gguf_with_tensors({q}, "llama"), read_gguf("", "", "qwen2"));
  const auto refused = [](const std::vector<std::string>& names, const char* arch) {
    expect_refused("biases in block 0", [&] { read_gguf_with_tensors(names, arch); });
  };
  refused({o}, "llama");
  refused({q, gate}, "llama");
  refused({o}, "qwen2");
  refused({gate}, "qwen2");
}

ModelConfig read_gguf_layers(const char* name, const std::vector<uint32_t>& values) {
  return read_gguf(name, GgufBuilder::array(name, 4, values.size(), testing::raw(values)));
}

TEST(ConfigGguf, ValuesOfLayersMustBeEqual) {
  EXPECT_EQ(read_gguf_layers("llama.feed_forward_length", {24, 24}), read_gguf());
  EXPECT_EQ(read_gguf_layers("llama.attention.head_count", {4, 4}), read_gguf());
  EXPECT_EQ(read_gguf_layers("llama.attention.head_count_kv", {2, 2}), read_gguf());
  const auto refused = [](const char* name, const std::vector<uint32_t>& values,
                          const char* phrase) {
    expect_refused(phrase, [&] { read_gguf_layers(name, values); });
  };
  refused("llama.attention.head_count_kv", {2, 4},
          "llama.attention.head_count_kv is [2, 4], expected the same for every layer");
  refused("llama.feed_forward_length", {24, 32}, "llama.feed_forward_length is [24, 32]");
  refused("llama.feed_forward_length", {24, 24, 24},
          "llama.feed_forward_length is u32[3], expected a number, or 2 equal ones");
  refused("llama.feed_forward_length", {}, "is u32[0], expected a number");
  refused("llama.attention.head_count", {0, 0}, "expected whole numbers from 1");
  refused("llama.embedding_length", {16, 16}, "is of type u32[2], expected an integer");
}

TEST(ConfigGguf, ReadsWhatAWriterOfEveryKeyPuts) {
  using B = GgufBuilder;
  B b;
  for (const char* key :
       {"expert_count", "expert_used_count", "leading_dense_block_count", "rescale_every_n_layers",
        "attention.sliding_window", "attention.q_lora_rank", "ssm.inner_size", "wkv.head_size"})
    b.add_u32(std::string("llama.") + key, 0);
  for (const char* key :
       {"logit_scale", "residual_scale", "embedding_scale", "attn_logit_softcapping",
        "final_logit_softcapping", "attention.clamp_kqv", "attention.max_alibi_bias",
        "attention.scale", "rope.scaling.factor", "rope.scaling.yarn_log_multiplier"})
    b.add_f32(std::string("llama.") + key, 0);
  for (const char* key : {"use_parallel_residual", "swin_norm", "ssm.dt_b_c_rms"})
    b.add(B::key(std::string("llama.") + key, 7, std::string(1, '\0')));
  b.add(B::key("llama.attention.causal", 7, std::string(1, '\1')));
  b.add_u32("llama.pooling_type", UINT32_MAX);
  b.add_f32("llama.attention.layer_norm_epsilon", 1e-6f);
  b.add_string("llama.tensor_data_layout", "Meta AI original pth");
  b.add_string("llama.rope.scaling.type", "linear");
  b.add_f32("llama.rope.scaling.attn_factor", 1);
  b.add_string("general.something", "else");
  b.add_string("other.namespace", "too");
  EXPECT_EQ(read_gguf("", "", "llama", b), read_gguf());
}

TEST(ConfigGguf, KeysThatChangeTheMathematicsAreRefused) {
  using B = GgufBuilder;
  const auto refused = [](const std::string& name, uint32_t type, const std::string& value,
                          const char* phrase) {
    SCOPED_TRACE(name);
    expect_refused("llama." + name + phrase,
                   [&] { read_gguf("llama." + name, B::key("llama." + name, type, value)); });
  };
  const auto f32 = [&](const char* name, float value, const char* phrase) {
    refused(name, 6, testing::raw(value), phrase);
  };
  f32("attention.scale", 0.25f, " is 0.25, expected 0.5 or 0");
  f32("attn_logit_softcapping", 50, " is 50, expected 0");
  f32("final_logit_softcapping", 30, " is 30, expected 0");
  f32("logit_scale", 0.5f, " is 0.5, expected 1 or 0");
  f32("embedding_scale", 12, " is 12, expected 1 or 0");
  f32("residual_scale", 0.25f, " is 0.25, expected 1 or 0");
  f32("attention.clamp_kqv", 8, " is 8, expected 0");
  f32("attention.max_alibi_bias", 8, " is 8, expected 0");
  refused("attention.causal", 7, std::string(1, '\0'), " is 0, expected 1");
  refused("use_parallel_residual", 7, std::string(1, '\1'), " is 1, expected 0");
  refused("expert_used_count", 4, testing::raw(2u), " is 2, expected 0");
  refused("attn_logit_softcapping", 8, B::text("x"), " is 'x', expected 0");
  refused("rope.dimension_sections", 4, testing::raw(2u), " is 2, which is on no list of keys");
  refused("a_new_key", 8, B::text("b\nc"), " is 'b\\x0ac', which is on no list of keys");
  f32("rope.freq_base_swa", 1e4f, " is 10000, which is on no list of keys");
}

// Two frequencies, the second so slow that llama3 scaling divides it by the whole factor.
const std::string kSlowBase = GgufBuilder::key("llama.rope.freq_base", 6, testing::raw(5e9f));

// A file with rope_freqs.weight holding these divisors.
ModelConfig read_gguf_factors(std::vector<float> factors) {
  GgufBuilder b;
  b.add_tensor({"rope_freqs.weight", {factors.size()}, 0, testing::raw(factors)});
  return read_gguf("llama.rope.freq_base", kSlowBase, "llama", b);
}

TEST(ConfigGguf, RecognisesLlama3ScalingByItsDivisors) {
  const ModelConfig plain = read_gguf("llama.rope.freq_base", kSlowBase);
  ModelConfig expected = plain;
  expected.rope_scaling = {.kind = RopeScaling::Kind::llama3, .factor = 32};
  EXPECT_EQ(read_gguf_factors({1, 32}), expected);
  EXPECT_EQ(read_gguf_factors({1, 1}), plain);
  expect_refused("tensor 'rope_freqs.weight': factor 0 is 2", [&] { read_gguf_factors({2, 32}); });
  expect_refused("tensor 'rope_freqs.weight': factor 0 is nan, expected a number", [&] {
    read_gguf_factors({NAN, 32});
  });
  expect_refused("tensor 'rope_freqs.weight': factor 1 is 0", [&] { read_gguf_factors({1, 0}); });
  expect_refused("shape [3], expected [2]", [&] { read_gguf_factors({1, 1, 1}); });
}

// Keys of rope.scaling by their last names; a text is a string, a number f32.
struct Scaling {
  std::vector<std::pair<const char*, const char*>> texts;
  std::vector<std::pair<const char*, float>> numbers;
  std::vector<std::pair<const char*, std::vector<float>>> tensors = {};
  std::optional<uint32_t> original = {};
};

RopeScaling read_scaling(const Scaling& s) {
  GgufBuilder b;
  for (const auto& [key, value] : s.texts)
    b.add_string(std::string("llama.rope.scaling.") + key, value);
  for (const auto& [key, value] : s.numbers) {
    const std::string name = key;
    b.add_f32(name == "scale_linear" ? "llama.rope.scale_linear" : "llama.rope.scaling." + name,
              value);
  }
  if (s.original) b.add_u32("llama.rope.scaling.original_context_length", *s.original);
  for (const auto& [name, values] : s.tensors)
    b.add_tensor({name, {values.size()}, 0, testing::raw(values)});
  return read_gguf("", "", "llama", b).rope_scaling;
}

TEST(ConfigGguf, ReadsLinearScaling) {
  const RopeScaling linear{.kind = RopeScaling::Kind::linear, .factor = 4};
  EXPECT_EQ(read_scaling({{}, {{"factor", 4}}}), linear) << "without a type";
  EXPECT_EQ(read_scaling({{{"type", "linear"}}, {{"factor", 4}}}), linear);
  EXPECT_EQ(read_scaling({{}, {{"scale_linear", 4}}}), linear) << "the old name";
  EXPECT_EQ(read_scaling({{}, {{"scale_linear", 4}, {"factor", 4}}}), linear);
  for (const float none : {0.0f, 1.0f}) {
    EXPECT_EQ(read_scaling({{}, {{"factor", none}}}), RopeScaling());
    EXPECT_EQ(read_scaling({{{"type", "none"}}, {{"factor", none}}}), RopeScaling());
  }
}

TEST(ConfigGguf, ReadsYarn) {
  RopeScaling yarn{.kind = RopeScaling::Kind::yarn,
                   .factor = 4,
                   .original_max_position_embeddings = 32,
                   .attention_factor = 0.1 * std::log(4.0) + 1};
  const Scaling plain{{{"type", "yarn"}}, {{"factor", 4}}, {}, 32};
  EXPECT_EQ(read_scaling(plain), yarn);
  Scaling all = plain;
  all.numbers = {{"factor", 4},          {"attn_factor", 0.5f},    {"yarn_ext_factor", 1},
                 {"yarn_beta_fast", 16}, {"yarn_beta_slow", 0.5f}, {"yarn_attn_factor", 1}};
  yarn.attention_factor *= 0.5;
  yarn.beta_fast = 16;
  yarn.beta_slow = 0.5;
  EXPECT_EQ(read_scaling(all), yarn);
  EXPECT_EQ(read_scaling({{{"type", "yarn"}}, {{"factor", 4}}}).original_max_position_embeddings,
            128)
      << "the context length";
}

TEST(ConfigGguf, ReadsLongrope) {
  Scaling s{{{"type", "longrope"}},
            {{"attn_factor", 1.25f}},
            {{"rope_factors_long.weight", {1, 8}}, {"rope_factors_short.weight", {1, 2}}},
            32};
  const RopeScaling expected{.kind = RopeScaling::Kind::longrope,
                             .original_max_position_embeddings = 32,
                             .attention_factor = 1.25,
                             .short_factor = {1, 2},
                             .long_factor = {1, 8}};
  EXPECT_EQ(read_scaling(s), expected);
  s.tensors.pop_back();
  expect_refused("tensor 'rope_factors_short.weight' is missing", [&] { read_scaling(s); });
}

TEST(ConfigGguf, RefusesScalingThatContradictsItself) {
  const auto refused = [](const Scaling& s, const char* phrase) {
    SCOPED_TRACE(phrase);
    expect_refused(phrase, [&] { read_scaling(s); });
  };
  refused({{{"type", "su"}}, {}}, "llama.rope.scaling.type is 'su', expected 'none', 'linear'");
  refused({{{"type", "none"}}, {{"factor", 4}}},
          "llama.rope.scaling.factor is 4, expected 1 with scaling of type none");
  refused({{{"type", "longrope"}}, {{"factor", 4}}}, "expected 1 with scaling of type longrope");
  refused({{}, {{"scale_linear", 4}, {"factor", 2}}},
          "llama.rope.scale_linear is 4, expected 2, as rope.scaling.factor says");
  refused({{}, {{"factor", 0.5f}}}, "rope.scaling.factor is 0.5, expected 0 or a number from 1");
  refused({{}, {{"factor", 4}, {"attn_factor", 2}}},
          "rope.scaling.attn_factor is 2, expected 1 with scaling of type linear");
  refused({{}, {{"factor", 4}, {"yarn_ext_factor", 1}}}, "yarn_ext_factor is 1, expected 0 with");
  refused({{{"type", "yarn"}}, {{"factor", 4}, {"yarn_ext_factor", 0}}},
          "yarn_ext_factor is 0, expected 1 with scaling of type yarn");
  refused({{{"type", "yarn"}}, {{"factor", 4}, {"yarn_log_multiplier", 0.1f}}},
          "rope.scaling.yarn_log_multiplier is 0.1");
  refused({{{"type", "yarn"}}, {{"factor", 4}, {"yarn_beta_fast", 1}, {"yarn_beta_slow", 2}}},
          "beta_fast is 1, expected at least beta_slow = 2");
  refused({{}, {{"factor", 4}}, {{"rope_freqs.weight", {1, 1}}}},
          "tensor 'rope_freqs.weight' is not expected with scaling of type linear");
  refused({{}, {}, {{"rope_factors_long.weight", {1, 1}}}},
          "tensor 'rope_factors_long.weight' is not expected with scaling of type none");
}

}  // namespace
}  // namespace halftone
