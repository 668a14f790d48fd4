#include <nlohmann/json.hpp>

#include "config_checks.h"
#include "config_hf_parts.h"
#include "halftone/base/error.h"
#include "halftone/model/config.h"
#include "model/families/family.h"

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

void put_tokens(const ModelConfig& config, Json& out) {
  out["bos_token_id"] = or_null(config.bos_token_id);
  out["eos_token_id"] = nullptr;
  if (config.eos_token_ids.size() == 1) out["eos_token_id"] = config.eos_token_ids[0];
  if (config.eos_token_ids.size() > 1) out["eos_token_id"] = config.eos_token_ids;
  out["pad_token_id"] = or_null(config.pad_token_id);
}

}  // namespace

void write_rope(const ModelConfig& config, Json& out) {
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

std::string config_json(const ModelConfig& config, DType dtype) {
  const Family& family = family_of(config);
  Json out;
  out["architectures"] = {family.architecture};
  out["model_type"] = family.model_type;
  out["hidden_size"] = config.hidden_size;
  out["num_hidden_layers"] = config.num_hidden_layers;
  out["num_attention_heads"] = config.num_attention_heads;
  out["vocab_size"] = config.vocab_size;
  out["max_position_embeddings"] = config.max_position_embeddings;
  family.write_hf(config, out);
  out["tie_word_embeddings"] = config.tie_word_embeddings;
  put_tokens(config, out);
  out["torch_dtype"] = torch_name(dtype);
  out["dtype"] = torch_name(dtype);
  return out.dump(2) + "\n";
}

}  // namespace halftone
