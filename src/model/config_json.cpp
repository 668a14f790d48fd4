#include <algorithm>
#include <nlohmann/json.hpp>

#include "config_checks.h"
#include "halftone/base/error.h"
#include "halftone/model/config.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

const char* torch_name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "float32";
    case DType::f64:
      return "float64";
    case DType::f16:
      return "float16";
    case DType::bf16:
      return "bfloat16";
    default:
      throw std::invalid_argument("config_json: weights are real numbers");
  }
}

const char* class_name(const ModelConfig& config) {
  if (config.architecture == "mistral") return "MistralForCausalLM";
  return config.architecture == "qwen2" ? "Qwen2ForCausalLM" : "LlamaForCausalLM";
}

template <class Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// The factor on cos and sin is written out, so that no reader needs its own rule for it.
Json scaling_json(const RopeScaling& s) {
  using Kind = RopeScaling::Kind;
  Json out{{"rope_type", rope_type_name(s.kind)}};
  if (s.kind != Kind::none && s.kind != Kind::longrope) out["factor"] = s.factor;
  if (s.kind == Kind::yarn || s.kind == Kind::longrope || s.kind == Kind::llama3)
    out["original_max_position_embeddings"] = s.original_max_position_embeddings;
  if (s.kind == Kind::yarn || s.kind == Kind::longrope)
    out["attention_factor"] = s.attention_factor;
  if (s.kind == Kind::yarn) {
    out["beta_fast"] = s.beta_fast;
    out["beta_slow"] = s.beta_slow;
    out["truncate"] = s.truncate;
  }
  if (s.kind == Kind::longrope) {
    out["short_factor"] = s.short_factor;
    out["long_factor"] = s.long_factor;
  }
  if (s.kind == Kind::llama3) {
    out["low_freq_factor"] = s.low_freq_factor;
    out["high_freq_factor"] = s.high_freq_factor;
  }
  return out;
}

void put_rope(const ModelConfig& config, Json& out) {
  const RopeScaling& s = config.rope_scaling;
  Json parameters = scaling_json(s);
  out["rope_theta"] = config.rope_theta;
  out["rope_scaling"] = s.kind == RopeScaling::Kind::none ? Json(nullptr) : parameters;
  parameters["rope_theta"] = config.rope_theta;
  out["rope_parameters"] = parameters;
  // Where transformers 4 looks for it.
  if (s.kind == RopeScaling::Kind::longrope)
    out["original_max_position_embeddings"] = s.original_max_position_embeddings;
}

void put_biases(const ModelConfig& config, Json& out) {
  const bool none = !config.attention_bias && !config.attention_output_bias && !config.mlp_bias;
  bool fits = config.attention_bias == config.attention_output_bias;
  if (config.architecture == "mistral") fits = none;
  if (config.architecture == "qwen2")
    fits = config.attention_bias && !config.attention_output_bias && !config.mlp_bias;
  require(fits, "config_json: {} has no spelling for these biases: q, k, v {}, o {}, mlp {}",
          config.architecture, config.attention_bias, config.attention_output_bias,
          config.mlp_bias);
  if (config.architecture != "llama") return;
  out["attention_bias"] = config.attention_bias;
  out["mlp_bias"] = config.mlp_bias;
}

void put_window(const ModelConfig& config, Json& out) {
  const std::optional<int64_t>& window = config.sliding_window;
  if (window || config.architecture == "mistral") out["sliding_window"] = or_null(window);
  if (config.architecture != "qwen2") return;
  out["use_sliding_window"] = window.has_value();
  if (!window) return;
  std::vector<bool> slides = config.sliding_layers;
  if (slides.empty()) slides.assign(config.num_hidden_layers, true);
  out["max_window_layers"] = std::find(slides.begin(), slides.end(), true) - slides.begin();
  for (const bool sliding : slides)
    out["layer_types"].push_back(sliding ? "sliding_attention" : "full_attention");
}

void put_tokens(const ModelConfig& config, Json& out) {
  out["bos_token_id"] = or_null(config.bos_token_id);
  out["eos_token_id"] = nullptr;
  if (config.eos_token_ids.size() == 1) out["eos_token_id"] = config.eos_token_ids[0];
  if (config.eos_token_ids.size() > 1) out["eos_token_id"] = config.eos_token_ids;
  out["pad_token_id"] = or_null(config.pad_token_id);
}

}  // namespace

std::string config_json(const ModelConfig& config, DType dtype) {
  Json out;
  out["architectures"] = {class_name(config)};
  out["model_type"] = config.architecture;
  out["hidden_size"] = config.hidden_size;
  out["intermediate_size"] = config.intermediate_size;
  out["num_hidden_layers"] = config.num_hidden_layers;
  out["num_attention_heads"] = config.num_attention_heads;
  out["num_key_value_heads"] = config.num_key_value_heads;
  out["head_dim"] = config.head_dim;
  out["hidden_act"] = "silu";
  out["vocab_size"] = config.vocab_size;
  out["max_position_embeddings"] = config.max_position_embeddings;
  out["rms_norm_eps"] = config.rms_norm_eps;
  put_rope(config, out);
  put_biases(config, out);
  put_window(config, out);
  out["tie_word_embeddings"] = config.tie_word_embeddings;
  put_tokens(config, out);
  out["torch_dtype"] = torch_name(dtype);
  out["dtype"] = torch_name(dtype);
  return out.dump(2) + "\n";
}

}  // namespace halftone
