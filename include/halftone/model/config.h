// The architecture of a model, read from Hugging Face's config.json or GGUF metadata.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

class GgufFile;

// Llama 3's rescaling of the rotary frequencies (transformers, rope_type "llama3").
struct RopeScaling {
  enum class Kind { none, llama3 };
  Kind kind = Kind::none;
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  int64_t original_max_position_embeddings = 8192;

  bool operator==(const RopeScaling&) const = default;
};

// Fields have Hugging Face's names and meaning; every value has been checked when it was read.
struct ModelConfig {
  std::string architecture = "llama";  // or "qwen2"
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;  // divides num_attention_heads
  int64_t head_dim = 0;             // even
  int64_t vocab_size = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  RopeScaling rope_scaling;
  bool tie_word_embeddings = false;
  bool attention_bias = false;         // of q, k and v
  bool attention_output_bias = false;  // of o
  bool mlp_bias = false;
  std::optional<int64_t> bos_token_id;
  std::vector<int64_t> eos_token_ids;

  bool operator==(const ModelConfig&) const = default;
};

// From a config.json. Throws Error(format) naming file, field, value found and value expected; an
// architecture other than Llama and Qwen2, a rotary embedding other than plain and llama3, an
// activation other than SiLU, sliding windows and quantised weights are refused by name.
ModelConfig read_config(const std::string& path);
ModelConfig parse_config(std::string_view json, const std::string& where);

// From a GGUF file of architecture llama or qwen2. The file has no field for ties, biases and
// llama3 scaling: these follow from the tensors it holds.
ModelConfig read_gguf_config(const GgufFile& file);

// config.json with both spellings of the rotary settings and of the dtype (transformers 4 and 5).
std::string config_json(const ModelConfig& config, DType dtype);

// head_dim / 2 frequencies, in radians a position: theta^(-2i/head_dim), then for llama3 scaling,
// with w = 2 pi / f and L = original_max_position_embeddings: f where w < L / high_freq_factor,
// f / factor where w > L / low_freq_factor, between these ((1 - s) / factor + s) f with
// s = (L / w - low_freq_factor) / (high_freq_factor - low_freq_factor).
std::vector<double> rope_inverse_frequencies(const ModelConfig& config);

}  // namespace halftone
