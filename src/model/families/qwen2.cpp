// Qwen2 (Yang et al., 2024, arXiv 2407.10671): Llama with biases on q, k and v, and a window on
// some of its layers.
#include "llama_like.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

void read_hf(const ConfigFields& in, ModelConfig& config) {
  read_llama_like(in, {32768, 32, 4096, false}, config);
  config.attention_bias = true;
  keep_window_of_layers(in, config);
}

void read_gguf(const GgufFile& file, const GgufKeys& keys, ModelConfig& config) {
  read_llama_like(file, keys, config);
  read_gguf_biases(file, config);
}

void write_hf(const ModelConfig& config, Json& out) {
  require_biases(config,
                 config.attention_bias && !config.attention_output_bias && !config.mlp_bias);
  write_llama_like(config, out);
  out["use_sliding_window"] = config.sliding_window.has_value();
  if (config.sliding_window) write_window_layers(config, out);
}

void write_gguf(const ModelConfig& config, GgufConfig& out) {
  require_gguf_biases(config,
                      config.attention_bias && !config.attention_output_bias && !config.mlp_bias);
  write_llama_like(config, "qwen2", out);
  write_gguf_window(config, out);
}

}  // namespace

const Family kQwen2{"qwen2",  "Qwen2ForCausalLM", "qwen2", llama_keys({}), read_hf,   read_gguf,
                    write_hf, llama_like_spec,    {},      false,          write_gguf};

}  // namespace halftone
