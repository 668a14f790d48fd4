// Mistral (Jiang et al., 2023, arXiv 2310.06825): Llama with a sliding window. A GGUF of it says
// llama.
#include "llama_like.h"

namespace halftone {
namespace {

void read_hf(const ConfigFields& in, ModelConfig& config) {
  read_llama_like(in, {4096 * 32, 8, 4096, true}, config);
}

void write_hf(const ModelConfig& config, nlohmann::ordered_json& out) {
  require_biases(config,
                 !config.attention_bias && !config.attention_output_bias && !config.mlp_bias);
  write_llama_like(config, out);
  if (!config.sliding_window) out["sliding_window"] = nullptr;
}

void write_gguf(const ModelConfig& config, GgufConfig& out) {
  write_llama_like(config, "llama", out);
  write_gguf_window(config, out);
}

}  // namespace

const Family kMistral{"mistral", "MistralForCausalLM", nullptr, llama_keys({}), read_hf,   nullptr,
                      write_hf,  llama_like_spec,      {},      false,          write_gguf};

}  // namespace halftone
