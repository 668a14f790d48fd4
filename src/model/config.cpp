#include "halftone/model/config.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "config_checks.h"
#include "halftone/base/error.h"
#include "halftone/ops/attention.h"

namespace halftone {

int64_t default_head_dim(const ModelConfig& config, const std::string& where,
                         const ConfigFieldNames& names) {
  if (config.hidden_size % config.num_attention_heads != 0)
    throw_error(ErrorKind::format, "{}: {} is {}, expected a multiple of {} = {}", where,
                names.hidden, config.hidden_size, names.heads, config.num_attention_heads);
  return config.hidden_size / config.num_attention_heads;
}

void check_config(const ModelConfig& config, const std::string& where,
                  const ConfigFieldNames& names) {
  if (config.num_attention_heads % config.num_key_value_heads != 0)
    throw_error(ErrorKind::format, "{}: {} is {}, expected a divisor of {} = {}", where,
                names.kv_heads, config.num_key_value_heads, names.heads,
                config.num_attention_heads);
  if (config.head_dim % 2 != 0)
    throw_error(ErrorKind::format, "{}: {} is {}, expected an even number", where, names.head_dim,
                config.head_dim);
  if (config.head_dim > kMostHeadDim)
    throw_error(ErrorKind::format, "{}: {} is {}, expected at most {}", where, names.head_dim,
                config.head_dim, kMostHeadDim);
  const RopeScaling& scaling = config.rope_scaling;
  if (scaling.kind == RopeScaling::Kind::llama3 &&
      scaling.low_freq_factor >= scaling.high_freq_factor)
    throw_error(ErrorKind::format, "{}: low_freq_factor is {}, expected less than {} = {}", where,
                scaling.low_freq_factor, "high_freq_factor", scaling.high_freq_factor);
}

std::vector<double> rope_inverse_frequencies(const ModelConfig& config) {
  std::vector<double> out;
  const RopeScaling& s = config.rope_scaling;
  const double length = static_cast<double>(s.original_max_position_embeddings);
  for (int64_t i = 0; i < config.head_dim / 2; ++i) {
    const double f = std::pow(config.rope_theta,
                              -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    const double turns = length * f / (2 * std::numbers::pi);  // within the original context
    if (s.kind == RopeScaling::Kind::none || turns > s.high_freq_factor) {
      out.push_back(f);
    } else if (turns < s.low_freq_factor) {
      out.push_back(f / s.factor);
    } else {
      const double smooth = (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
      out.push_back(((1 - smooth) / s.factor + smooth) * f);
    }
  }
  return out;
}

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

// `parameters`: the transformers 5 spelling, which holds theta too.
Json rope_json(const ModelConfig& config, bool parameters) {
  const RopeScaling& s = config.rope_scaling;
  Json out;
  if (s.kind == RopeScaling::Kind::none) {
    if (!parameters) return nullptr;
    out["rope_type"] = "default";
  } else {
    out["rope_type"] = "llama3";
    out["factor"] = s.factor;
    out["low_freq_factor"] = s.low_freq_factor;
    out["high_freq_factor"] = s.high_freq_factor;
    out["original_max_position_embeddings"] = s.original_max_position_embeddings;
  }
  if (parameters) out["rope_theta"] = config.rope_theta;
  return out;
}

void put_biases(const ModelConfig& config, Json& out) {
  const bool qwen2 = config.architecture == "qwen2";
  const bool fits = qwen2
                        ? config.attention_bias && !config.attention_output_bias && !config.mlp_bias
                        : config.attention_bias == config.attention_output_bias;
  require(fits, "config_json: {} has no spelling for these biases: q, k, v {}, o {}, mlp {}",
          config.architecture, config.attention_bias, config.attention_output_bias,
          config.mlp_bias);
  if (qwen2) {
    out["use_sliding_window"] = false;
  } else {
    out["attention_bias"] = config.attention_bias;
    out["mlp_bias"] = config.mlp_bias;
  }
}

}  // namespace

std::string config_json(const ModelConfig& config, DType dtype) {
  const bool qwen2 = config.architecture == "qwen2";
  Json out;
  out["architectures"] = {qwen2 ? "Qwen2ForCausalLM" : "LlamaForCausalLM"};
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
  out["rope_theta"] = config.rope_theta;
  out["rope_scaling"] = rope_json(config, false);
  out["rope_parameters"] = rope_json(config, true);
  put_biases(config, out);
  out["tie_word_embeddings"] = config.tie_word_embeddings;
  if (config.bos_token_id) out["bos_token_id"] = *config.bos_token_id;
  if (config.eos_token_ids.size() == 1) out["eos_token_id"] = config.eos_token_ids[0];
  if (config.eos_token_ids.size() > 1) out["eos_token_id"] = config.eos_token_ids;
  if (!config.bos_token_id) out["bos_token_id"] = nullptr;
  if (config.eos_token_ids.empty()) out["eos_token_id"] = nullptr;
  out["torch_dtype"] = torch_name(dtype);
  out["dtype"] = torch_name(dtype);
  return out.dump(2) + "\n";
}

}  // namespace halftone
