// What Llama and the families in its shape share: blocks of rotary attention with grouped keys and
// a gated MLP, an RMS norm in front of each.
#pragma once

#include "family.h"

namespace halftone {

// What transformers takes where a config.json names no value.
struct LlamaDefaults {
  int64_t max_position_embeddings;
  std::optional<int64_t> key_value_heads;  // none: as many as heads
  std::optional<int64_t> sliding_window;
  bool use_sliding_window;
  std::optional<int64_t> head_dim = {};  // none: hidden_size / heads
};

// The keys of a config.json that are read in this shape, and `others`.
std::vector<std::string_view> llama_keys(std::initializer_list<std::string_view> others);

// layer_types, which is there: whether each layer slides.
std::vector<bool> read_layer_types(const ConfigFields& in, int64_t layers);
// Sizes alone.
void read_llama_sizes(const ConfigFields& in, const LlamaDefaults& defaults, ModelConfig& config);
// All but biases and windows of single layers.
void read_llama_like(const ConfigFields& in, const LlamaDefaults& defaults, ModelConfig& config);
void read_llama_like(const GgufFile& file, const GgufKeys& keys, ModelConfig& config);
void write_llama_like(const ModelConfig& config, nlohmann::ordered_json& out);
// All but windows, which GGUF's architectures name each in their own way.
void write_llama_like(const ModelConfig& config, const char* architecture, GgufConfig& out);
// attention.sliding_window, of all layers. llama.cpp passes it over in llama, qwen2 and qwen3.
void write_gguf_window(const ModelConfig& config, GgufConfig& out);

// Of a GGUF of architecture llama or qwen2; on q, k and v alone they are what tells a Qwen2 from a
// Llama.
void read_gguf_biases(const GgufFile& file, ModelConfig& config);
// Throws std::invalid_argument for biases that the family's config.json has no spelling for.
void require_biases(const ModelConfig& config, bool fits);
// Throws Error(recipe) where not `fits`: the GGUF's architecture has no such biases.
void require_gguf_biases(const ModelConfig& config, bool fits);

// Which layers have the window, where a config.json says so: layer_types or max_window_layers.
void keep_window_of_layers(const ConfigFields& in, ModelConfig& config);
// max_window_layers and layer_types, or layer_types alone.
void write_window_layers(const ModelConfig& config, nlohmann::ordered_json& out);
void write_layer_types(const std::vector<bool>& sliding, nlohmann::ordered_json& out);

DecoderSpec llama_like_spec(const ModelConfig& config);
// Norms over each head of queries and keys.
void add_head_norms(BlockSpec& block);

}  // namespace halftone
