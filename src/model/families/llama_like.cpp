// Llama's shape: configuration files and spec.
#include "llama_like.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/model/rope.h"
#include "model/config_checks.h"
#include "model/config_hf_parts.h"

namespace halftone {
namespace {

// Which layers a window is for.
std::vector<bool> read_sliding_layers(const ConfigFields& in, const ModelConfig& config) {
  const int64_t layers = config.num_hidden_layers;
  if (in.has("layer_types")) return read_layer_types(in, layers);
  std::vector<bool> out;
  const int64_t first = in.whole("max_window_layers", 0, kMaxLayers, 28);
  for (int64_t i = 0; i < layers; ++i) out.push_back(i >= first);
  return out;
}

// null is no window; only a key that is not there is the default.
void read_window(const ConfigFields& in, const LlamaDefaults& defaults, ModelConfig& config) {
  config.sliding_window = defaults.sliding_window;
  if (in.names("sliding_window")) config.sliding_window = {};
  if (in.has("sliding_window"))
    config.sliding_window = in.whole("sliding_window", 1, kMaxPositions);
  if (!in.boolean("use_sliding_window", defaults.use_sliding_window)) config.sliding_window = {};
  const std::vector<bool> slides = read_sliding_layers(in, config);
  if (!config.sliding_window && in.has("layer_types") && std::ranges::count(slides, true) > 0)
    in.fail("layer_types", "\"full_attention\" for each layer, as no sliding window is in use");
}

int64_t read_vocabulary(const GgufFile& file, const GgufKeys& keys) {
  if (keys.has("vocab_size")) return keys.whole("vocab_size", 1, kMaxVocabulary);
  const GgufTensor* embedding = file.find("token_embd.weight");
  if (!embedding || embedding->shape.size() != 2)
    throw_error(ErrorKind::format, "{}: tensor 'token_embd.weight' is missing or no matrix",
                keys.where());
  if (embedding->shape[0] > kMaxVocabulary)
    throw_error(ErrorKind::format,
                "{}: tensor 'token_embd.weight' has {} rows, at most {} expected", keys.where(),
                embedding->shape[0], kMaxVocabulary);
  return embedding->shape[0];
}

void read_sizes(const GgufFile& file, const GgufKeys& keys, ModelConfig& config) {
  const std::string kv = keys.full("attention.head_count_kv"),
                    heads = keys.full("attention.head_count"),
                    head = keys.full("attention.key_length"),
                    hidden = keys.full("embedding_length");
  const ConfigFieldNames names = {kv.c_str(), heads.c_str(), head.c_str(), hidden.c_str()};
  config.num_hidden_layers = keys.whole("block_count", 1, kMaxLayers);
  const int64_t layers = config.num_hidden_layers;
  config.hidden_size = keys.whole("embedding_length", 1, kMaxWidth);
  config.intermediate_size = keys.whole_of_layers("feed_forward_length", 1, kMaxWidth, layers);
  config.num_attention_heads = keys.whole_of_layers("attention.head_count", 1, kMaxHeads, layers);
  config.num_key_value_heads =
      keys.has("attention.head_count_kv")
          ? keys.whole_of_layers("attention.head_count_kv", 1, kMaxHeads, layers)
          : config.num_attention_heads;
  config.head_dim = keys.has("attention.key_length")
                        ? keys.whole("attention.key_length", 2, kMaxHeadDim)
                        : default_head_dim(config, keys.where(), names);
  config.vocab_size = read_vocabulary(file, keys);
  config.max_position_embeddings = keys.whole("context_length", 1, kMaxPositions);
  check_heads(config, keys.where(), names);
}

}  // namespace

std::vector<bool> read_layer_types(const ConfigFields& in, int64_t layers) {
  const ConfigFields::Json& types = in.at("layer_types");
  if (!types.is_array() || static_cast<int64_t>(types.size()) != layers)
    in.fail("layer_types", fmt::format("a list of {} names", layers));
  std::vector<bool> out;
  for (const ConfigFields::Json& type : types) {
    if (type != "full_attention" && type != "sliding_attention")
      in.fail("layer_types", "\"full_attention\" or \"sliding_attention\" for each layer");
    out.push_back(type == "sliding_attention");
  }
  return out;
}

std::vector<std::string_view> llama_keys(std::initializer_list<std::string_view> others) {
  std::vector<std::string_view> out = {
      "intermediate_size", "num_key_value_heads", "head_dim", "hidden_act", "rms_norm_eps",
      "rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor",
      "original_max_position_embeddings",
      // max_window_layers speaks of a window that Qwen2 and 3 alone have.
      "sliding_window", "use_sliding_window", "max_window_layers", "layer_types"};
  out.insert(out.end(), others);
  return out;
}

void read_llama_sizes(const ConfigFields& in, const LlamaDefaults& defaults, ModelConfig& config) {
  config.hidden_size = in.whole("hidden_size", 1, kMaxWidth);
  config.intermediate_size = in.whole("intermediate_size", 1, kMaxWidth);
  config.num_hidden_layers = in.whole("num_hidden_layers", 1, kMaxLayers);
  config.num_attention_heads = in.whole("num_attention_heads", 1, kMaxHeads);
  // null is as many as heads; only a key that is not there is its default.
  const int64_t heads = config.num_attention_heads,
                absent = in.names("num_key_value_heads") ? heads
                                                         : defaults.key_value_heads.value_or(heads);
  config.num_key_value_heads = in.whole("num_key_value_heads", 1, kMaxHeads, absent);
  if (in.has("head_dim"))
    config.head_dim = in.whole("head_dim", 2, kMaxHeadDim);
  else if (defaults.head_dim && !in.names("head_dim"))
    config.head_dim = *defaults.head_dim;
  else
    config.head_dim = default_head_dim(config, in.where(), {});
  config.vocab_size = in.whole("vocab_size", 1, kMaxVocabulary);
  config.max_position_embeddings =
      in.whole("max_position_embeddings", 1, kMaxPositions, defaults.max_position_embeddings);
  check_heads(config, in.where(), {});
}

void read_llama_like(const ConfigFields& in, const LlamaDefaults& defaults, ModelConfig& config) {
  read_llama_sizes(in, defaults, config);
  if (in.has("hidden_act") && in.text("hidden_act") != "silu") in.fail("hidden_act", "\"silu\"");
  config.rms_norm_eps = in.real("rms_norm_eps", 1e-20, 1, 1e-6);
  config.tie_word_embeddings = in.boolean("tie_word_embeddings", false);
  read_rope(in, config);
  read_window(in, defaults, config);
}

void read_llama_like(const GgufFile& file, const GgufKeys& keys, ModelConfig& config) {
  read_sizes(file, keys, config);
  config.rms_norm_eps = keys.real("attention.layer_norm_rms_epsilon", 1e-20, 1);
  if (const int64_t window = keys.whole("attention.sliding_window", 0, kMaxPositions, 0))
    config.sliding_window = window;
  config.tie_word_embeddings = !file.find("output.weight");
  for (const char* key : {"attention.value_length", "rope.dimension_count"})
    if (keys.whole(key, 1, kMaxHeadDim, config.head_dim) != config.head_dim)
      keys.fail(key, fmt::format("{}, the length of a head", config.head_dim));
  read_gguf_rope(file, keys, config);
}

void read_gguf_biases(const GgufFile& file, ModelConfig& config) {
  config.attention_bias =
      config.architecture == kQwen2.model_type || file.find("blk.0.attn_q.bias");
  config.attention_output_bias = file.find("blk.0.attn_output.bias") != nullptr;
  config.mlp_bias = file.find("blk.0.ffn_gate.bias") != nullptr;
  if (config.attention_bias && !config.attention_output_bias && !config.mlp_bias)
    config.architecture = kQwen2.model_type;
  else if (config.architecture == kQwen2.model_type ||
           config.attention_bias != config.attention_output_bias)
    throw_error(
        ErrorKind::format,
        "{}: biases in block 0: q {}, o {}, gate {}; expected on q, k and v alone, on o too, "
        "or on none of these",
        file.path(), config.attention_bias, config.attention_output_bias, config.mlp_bias);
}

void require_biases(const ModelConfig& config, bool fits) {
  require(fits, "config_json: {} has no spelling for these biases: q, k, v {}, o {}, mlp {}",
          config.architecture, config.attention_bias, config.attention_output_bias,
          config.mlp_bias);
}

void keep_window_of_layers(const ConfigFields& in, ModelConfig& config) {
  if (!config.sliding_window) return;
  const std::vector<bool> slides = read_sliding_layers(in, config);
  const auto sliding = std::ranges::count(slides, true);
  if (sliding == 0) config.sliding_window = {};
  if (sliding > 0 && sliding < config.num_hidden_layers) config.sliding_layers = slides;
}

void write_layer_types(const std::vector<bool>& sliding, nlohmann::ordered_json& out) {
  for (const bool slides : sliding)
    out["layer_types"].push_back(slides ? "sliding_attention" : "full_attention");
}

void write_window_layers(const ModelConfig& config, nlohmann::ordered_json& out) {
  std::vector<bool> slides = config.sliding_layers;
  if (slides.empty()) slides.assign(config.num_hidden_layers, true);
  out["max_window_layers"] = std::ranges::find(slides, true) - slides.begin();
  write_layer_types(slides, out);
}

void write_llama_like(const ModelConfig& config, nlohmann::ordered_json& out) {
  out["intermediate_size"] = config.intermediate_size;
  out["num_key_value_heads"] = config.num_key_value_heads;
  out["head_dim"] = config.head_dim;
  out["hidden_act"] = "silu";
  out["rms_norm_eps"] = config.rms_norm_eps;
  write_rope(config, out);
  if (config.sliding_window) out["sliding_window"] = *config.sliding_window;
}

void write_llama_like(const ModelConfig& config, const char* architecture, GgufConfig& out) {
  out.architecture = architecture;
  out.whole("vocab_size", config.vocab_size);
  out.whole("context_length", config.max_position_embeddings);
  out.whole("embedding_length", config.hidden_size);
  out.whole("block_count", config.num_hidden_layers);
  out.whole("feed_forward_length", config.intermediate_size);
  out.whole("attention.head_count", config.num_attention_heads);
  out.whole("attention.head_count_kv", config.num_key_value_heads);
  out.whole("attention.key_length", config.head_dim);
  out.whole("attention.value_length", config.head_dim);
  out.real("attention.layer_norm_rms_epsilon", config.rms_norm_eps);
  write_gguf_rope(config, out);
}

void write_gguf_window(const ModelConfig& config, GgufConfig& out) {
  if (!config.sliding_layers.empty())
    throw_no_gguf(config, "sliding window that only some of the layers have");
  if (config.sliding_window) out.whole("attention.sliding_window", *config.sliding_window);
}

void require_gguf_biases(const ModelConfig& config, bool fits) {
  if (!fits)
    throw_no_gguf(config,
                  fmt::format("biases like these: q, k, v {}, o {}, mlp {}", config.attention_bias,
                              config.attention_output_bias, config.mlp_bias));
}

DecoderSpec llama_like_spec(const ModelConfig& c) {
  const int64_t hidden = c.hidden_size, inner = c.intermediate_size,
                q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
  DecoderSpec spec{.hidden_size = hidden,
                   .vocab_size = c.vocab_size,
                   .embedding = {"model.embed_tokens", "token_embd"},
                   .embedding_size = hidden,
                   .positions = {},
                   .projections = {},
                   .final_norm = OuterNames{"model.norm", "output_norm"},
                   .norm = {.eps = c.rms_norm_eps},
                   .head = {},
                   .blocks = {},
                   .frequencies = {[c](int64_t context) { return rope_frequencies(c, context); }}};
  if (!c.tie_word_embeddings) spec.head = {"lm_head", "output"};
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    BlockSpec block{.slots = {},
                    .norm = spec.norm,
                    .heads = c.num_attention_heads,
                    .key_value_heads = c.num_key_value_heads,
                    .head_dim = c.head_dim};
    if (c.sliding_window && (c.sliding_layers.empty() || c.sliding_layers[i]))
      block.window = *c.sliding_window;
    const auto norm = [&](SlotRole role, const char* hf, const char* gguf) {
      block.slots.push_back({.role = role,
                             .hf = fmt::format("model.layers.{}.{}", i, hf),
                             .gguf = fmt::format("blk.{}.{}", i, gguf),
                             .out = hidden});
    };
    const auto linear = [&](SlotRole role, const char* hf, const char* gguf, int64_t out,
                            int64_t in, int group, bool bias, int64_t rotary_heads = 0) {
      block.slots.push_back({.role = role,
                             .hf = fmt::format("model.layers.{}.{}", i, hf),
                             .gguf = fmt::format("blk.{}.{}", i, gguf),
                             .out = out,
                             .in = in,
                             .input_group = group,
                             .bias = bias,
                             .rotary_heads = rotary_heads});
    };
    const bool bias = c.attention_bias, mlp_bias = c.mlp_bias;
    norm(SlotRole::attention_norm, "input_layernorm", "attn_norm");
    linear(SlotRole::q, "self_attn.q_proj", "attn_q", q, hidden, 0, bias, c.num_attention_heads);
    linear(SlotRole::k, "self_attn.k_proj", "attn_k", kv, hidden, 0, bias, c.num_key_value_heads);
    linear(SlotRole::v, "self_attn.v_proj", "attn_v", kv, hidden, 0, bias);
    linear(SlotRole::o, "self_attn.o_proj", "attn_output", hidden, q, 1, c.attention_output_bias);
    norm(SlotRole::mlp_norm, "post_attention_layernorm", "ffn_norm");
    linear(SlotRole::gate, "mlp.gate_proj", "ffn_gate", inner, hidden, 2, mlp_bias);
    linear(SlotRole::up, "mlp.up_proj", "ffn_up", inner, hidden, 2, mlp_bias);
    linear(SlotRole::down, "mlp.down_proj", "ffn_down", hidden, inner, 3, mlp_bias);
    spec.blocks.push_back(std::move(block));
  }
  return spec;
}

namespace {

// Behind the linear whose heads it is for.
void add_norm(BlockSpec& block, SlotRole of, SlotRole role) {
  const auto linear = std::ranges::find(block.slots, of, &Slot::role);
  block.slots.insert(linear + 1,
                     {.role = role,
                      .hf = linear->hf.substr(0, linear->hf.size() - 4) + "norm",  // q_proj
                      .gguf = linear->gguf + "_norm",
                      .out = block.head_dim});
}

}  // namespace

void add_head_norms(BlockSpec& block) {
  add_norm(block, SlotRole::q, SlotRole::q_norm);
  add_norm(block, SlotRole::k, SlotRole::k_norm);
}

}  // namespace halftone
