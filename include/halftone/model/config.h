// The architecture of a model, read from Hugging Face's config.json or GGUF metadata.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/model/rope.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

class GgufFile;

// Fields have Hugging Face's names and meaning; every value has been checked when it was read.
struct ModelConfig {
  std::string architecture = "llama";  // model_type
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
  // The latest tokens, itself included, that a token attends to.
  std::optional<int64_t> sliding_window;
  std::vector<bool> sliding_layers;  // the layers that have it; empty: all of them
  bool tie_word_embeddings = false;
  bool attention_bias = false;         // of q, k and v
  bool attention_output_bias = false;  // of o
  bool mlp_bias = false;
  // Of OPT alone.
  int64_t word_embed_proj_dim = 0;
  bool do_layer_norm_before = true;
  bool remove_final_layer_norm = false;
  bool layer_norm_elementwise_affine = true;
  // Of Gemma 3 alone, which names each of its sliding_layers; these turn by a theta of their own.
  int64_t query_pre_attn_scalar = 0;
  double rope_local_base_freq = 0;
  // Special tokens are not negative, but those that begin and end a text may lie outside the
  // vocabulary, as they do in files of cut-down models: no text holds such a token.
  std::optional<int64_t> bos_token_id;
  std::vector<int64_t> eos_token_ids;
  std::optional<int64_t> pad_token_id;

  bool operator==(const ModelConfig&) const = default;
};

// From a config.json of one of the families (model/families). Throws Error(format) naming file,
// field, value found and value expected.
//
// No key that changes what the model computes is passed over. A key is read; or it is known to be
// harmless (bookkeeping, generation, training); or it belongs to a part that these architectures
// lack (soft caps, multipliers, experts, ...) and has the value that leaves such a part out; any
// other key is refused by name. null stands for an absent key, as in transformers, and an absent
// key for the default that transformers has for the architecture.
//
// The rotary settings may stand in rope_scaling (transformers 4) or rope_parameters (5), or in both
// when they agree; rope_theta in there has precedence over that of the top level, and
// original_max_position_embeddings of the top level over that in there, as in transformers 5.
//
// A sliding window is use_sliding_window (where given, or Qwen2 and 3) and sliding_window; for
// Qwen2 and 3 of the layers that layer_types or max_window_layers say, for Gemma 3 of those that
// layer_types or sliding_window_pattern say. Llama and OPT have none.
//
// The model_type bitllama of the released OneBit checkpoints is read as the Llama that its linears
// stand in. A quantization_config is refused unless it is that of export_compressed_tensors.h.
ModelConfig read_config(const std::string& path);
ModelConfig parse_config(std::string_view json, const std::string& where);

// Whether a config.json is that of a OneBit checkpoint: its linears are OneBit layers with a layer
// normalisation behind them.
bool is_onebit_config(const std::string& path);

// From a GGUF file of an architecture that a family has, by the same rules for the keys of that
// name space ("llama.rope.scaling.type"), with llama.cpp's meaning and defaults. The file has no
// field for ties, biases and llama3 scaling: these follow from the tensors it holds; a llama with
// biases on q, k and v alone is a Qwen2. Layers of different sizes are refused.
ModelConfig read_gguf_config(const GgufFile& file);

// Whether the model computes well only where each window of a text begins with BOS.
bool needs_bos_in_windows(const ModelConfig& config);

// config.json with both spellings of the rotary settings and of the dtype (transformers 4 and 5).
// parse_config gives the same configuration back.
std::string config_json(const ModelConfig& config, DType dtype);

}  // namespace halftone
