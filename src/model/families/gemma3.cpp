// Gemma 3's language model (Gemma Team, 2025, arXiv 2503.19786): Llama's shape with a norm in front
// of each half of a block and another behind it, norms of queries and keys, gains stored without
// their 1, and most layers under a sliding window, with rotary frequencies of their own.
#include <algorithm>
#include <cmath>

#include "halftone/model/rope.h"
#include "llama_like.h"
#include "model/config_checks.h"
#include "model/config_hf_parts.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kActivation = "gelu_pytorch_tanh";
constexpr double kTheta = 1e6, kLocalTheta = 1e4;
constexpr int64_t kPattern = 6;            // one layer in six sees all
constexpr int64_t kLayersOfLargest = 62;   // of the 27B model, whose scale is its own
constexpr size_t kFull = 0, kSliding = 1;  // of DecoderSpec::frequencies

// Every n-th layer is no sliding one.
std::vector<bool> layers_of_pattern(int64_t layers, int64_t n) {
  std::vector<bool> out;
  for (int64_t i = 1; i <= layers; ++i) out.push_back(i % n != 0);
  return out;
}

void check_activation(const ConfigFields& in, const char* key) {
  if (in.has(key) && in.text(key) != kActivation) in.fail(key, fmt::format("\"{}\"", kActivation));
}

// _sliding_window_pattern is what transformers made layer_types of, and reads no more.
void read_layers(const ConfigFields& in, ModelConfig& config) {
  config.sliding_layers =
      in.has("layer_types")
          ? read_layer_types(in, config.num_hidden_layers)
          : layers_of_pattern(config.num_hidden_layers,
                              in.whole("sliding_window_pattern", 1, kMaxLayers, kPattern));
  config.sliding_window = 4096;
  if (in.has("sliding_window"))
    config.sliding_window = in.whole("sliding_window", 1, kMaxPositions);
  else if (in.names("sliding_window"))
    in.fail("sliding_window", "a whole number");
}

// The settings of full layers stand at the top level and in rope_scaling (transformers 4), or with
// those of sliding ones in rope_parameters (5).
void read_ropes(const ConfigFields& in, ModelConfig& config) {
  Rope full{in.real("rope_theta", kMinTheta, kMaxTheta, kTheta), {}},
      sliding{in.real("rope_local_base_freq", kMinTheta, kMaxTheta, kLocalTheta), {}};
  const auto given = [](const ConfigFields& object, const char* key) {
    return object.has(key) && !object.at(key).empty();
  };
  if (given(in, "rope_scaling"))
    full = read_rope_object(in, in.object("rope_scaling"), config, full.theta);
  if (given(in, "rope_parameters")) {
    const ConfigFields both = in.object("rope_parameters");
    for (const auto& [key, value] : both.json().items())
      if (key != "full_attention" && key != "sliding_attention") both.fail_unknown(key);
    if (given(both, "full_attention")) {
      const Rope read = read_rope_object(in, both.object("full_attention"), config, full.theta);
      if (given(in, "rope_scaling") && read != full)
        in.fail("rope_parameters", "the same as rope_scaling, or one of the two alone");
      full = read;
    }
    if (given(both, "sliding_attention")) {
      const ConfigFields object = both.object("sliding_attention");
      sliding = read_rope_object(in, object, config, sliding.theta);
      if (sliding.scaling.kind != RopeScaling::Kind::none) object.fail("rope_type", "\"default\"");
    }
  }
  config.rope_theta = full.theta;
  config.rope_scaling = full.scaling;
  config.rope_local_base_freq = sliding.theta;
  check_scaling(config, in.where());
}

void read_hf(const ConfigFields& in, ModelConfig& config) {
  read_llama_sizes(in, {131072, 4, {}, true, 256}, config);
  check_activation(in, "hidden_activation");
  check_activation(in, "hidden_act");
  config.rms_norm_eps = in.real("rms_norm_eps", 1e-20, 1, 1e-6);
  config.tie_word_embeddings = in.boolean("tie_word_embeddings", true);
  config.attention_bias = config.attention_output_bias = in.boolean("attention_bias", false);
  config.query_pre_attn_scalar = in.whole("query_pre_attn_scalar", 1, kMaxWidth, 256);
  read_layers(in, config);
  read_ropes(in, config);
}

// A GGUF does not say it.
int64_t gguf_scalar(const ModelConfig& config) {
  return config.num_hidden_layers == kLayersOfLargest
             ? config.hidden_size / config.num_attention_heads
             : config.head_dim;
}

void read_gguf(const GgufFile& file, const GgufKeys& keys, ModelConfig& config) {
  read_llama_like(file, keys, config);
  const int64_t layers = config.num_hidden_layers;
  config.query_pre_attn_scalar = gguf_scalar(config);
  config.rope_local_base_freq = keys.real("rope.freq_base_swa", kMinTheta, kMaxTheta, kLocalTheta);
  // Without a window no layer slides.
  const int64_t pattern = keys.whole("attention.sliding_window_pattern", 1, kMaxLayers, kPattern);
  config.sliding_layers = layers_of_pattern(layers, config.sliding_window ? pattern : 1);
  if (!config.sliding_window) config.sliding_window = 4096;
}

void write_hf(const ModelConfig& config, Json& out) {
  require(config.attention_bias == config.attention_output_bias && !config.mlp_bias,
          "config_json: gemma3_text has no spelling for these biases");
  write_llama_like(config, out);
  out.erase("hidden_act");
  out["hidden_activation"] = kActivation;
  out["attention_bias"] = config.attention_bias;
  out["query_pre_attn_scalar"] = config.query_pre_attn_scalar;
  write_layer_types(config.sliding_layers, out);
  out["rope_local_base_freq"] = config.rope_local_base_freq;
  const Json full = out["rope_parameters"];
  out["rope_parameters"] = {
      {"full_attention", full},
      {"sliding_attention",
       {{"rope_type", "default"}, {"rope_theta", config.rope_local_base_freq}}}};
}

// The n of which layers_of_pattern makes the layers.
int64_t pattern_of(const ModelConfig& config) {
  for (int64_t n = 1; n <= config.num_hidden_layers + 1; ++n)
    if (config.sliding_layers == layers_of_pattern(config.num_hidden_layers, n)) return n;
  throw_no_gguf(config, "sliding layers other than all but every n-th");
}

void write_gguf(const ModelConfig& config, GgufConfig& out) {
  require_gguf_biases(config, !config.attention_bias);
  if (config.query_pre_attn_scalar != gguf_scalar(config))
    throw_no_gguf(config, fmt::format("query_pre_attn_scalar; found {}, {} expected",
                                      config.query_pre_attn_scalar, gguf_scalar(config)));
  write_llama_like(config, "gemma3", out);
  out.whole("attention.sliding_window", *config.sliding_window);
  out.whole("attention.sliding_window_pattern", pattern_of(config));
  out.real("rope.freq_base_swa", config.rope_local_base_freq);
}

DecoderSpec spec(const ModelConfig& config) {
  DecoderSpec out = llama_like_spec(config);
  ModelConfig local = config;
  local.rope_theta = config.rope_local_base_freq;
  local.rope_scaling = {};
  out.frequencies.push_back([local](int64_t context) { return rope_frequencies(local, context); });
  // transformers keeps it in F32, whatever the dtype of the model.
  out.embedding_scale =
      static_cast<double>(static_cast<float>(std::sqrt(static_cast<double>(config.hidden_size))));
  out.norm.gain_offset = 1;
  for (size_t i = 0; i < out.blocks.size(); ++i) {
    BlockSpec& block = out.blocks[i];
    block.norm = out.norm;
    block.attention_scale = 1 / std::sqrt(static_cast<double>(config.query_pre_attn_scalar));
    block.rotary = config.sliding_layers[i] ? kSliding : kFull;
    block.activation = Activation::gelu_tanh;
    add_head_norms(block);
    const auto norm = [&](SlotRole role, const char* hf, const char* gguf) {
      return Slot{.role = role,
                  .hf = fmt::format("model.layers.{}.{}", i, hf),
                  .gguf = fmt::format("blk.{}.{}", i, gguf),
                  .out = config.hidden_size};
    };
    // Llama's name of the norm in front of the MLP is here that of the one behind attention.
    const auto mlp = std::ranges::find(block.slots, SlotRole::mlp_norm, &Slot::role);
    *mlp = norm(SlotRole::mlp_norm, "pre_feedforward_layernorm", "ffn_norm");
    block.slots.insert(
        mlp, norm(SlotRole::attention_out_norm, "post_attention_layernorm", "post_attention_norm"));
    block.slots.push_back(
        norm(SlotRole::mlp_out_norm, "post_feedforward_layernorm", "post_ffw_norm"));
  }
  return out;
}

}  // namespace

const Family kGemma3{
    "gemma3_text",
    "Gemma3ForCausalLM",
    "gemma3",
    llama_keys({"hidden_activation", "attention_bias", "query_pre_attn_scalar",
                "rope_local_base_freq", "sliding_window_pattern", "_sliding_window_pattern"}),
    read_hf,
    read_gguf,
    write_hf,
    spec,
    {"rope.freq_base_swa", "attention.sliding_window_pattern"},
    true,
    write_gguf};

}  // namespace halftone
