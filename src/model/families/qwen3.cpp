// Qwen3 (Yang et al., 2025, arXiv 2505.09388): Llama with an RMS norm over each head of queries and
// keys, and heads of a size of their own.
#include "llama_like.h"

namespace halftone {
namespace {

void read_hf(const ConfigFields& in, ModelConfig& config) {
  read_llama_like(in, {32768, 32, 4096, false, 128}, config);
  config.attention_bias = config.attention_output_bias = in.boolean("attention_bias", false);
  keep_window_of_layers(in, config);
}

void read_gguf(const GgufFile& file, const GgufKeys& keys, ModelConfig& config) {
  read_llama_like(file, keys, config);
}

void write_hf(const ModelConfig& config, nlohmann::ordered_json& out) {
  write_llama_like(config, out);
  out["attention_bias"] = config.attention_bias;
  out["use_sliding_window"] = config.sliding_window.has_value();
  if (config.sliding_window) write_window_layers(config, out);
}

void write_gguf(const ModelConfig& config, GgufConfig& out) {
  require_gguf_biases(config, !config.attention_bias);
  write_llama_like(config, "qwen3", out);
  write_gguf_window(config, out);
}

DecoderSpec spec(const ModelConfig& config) {
  DecoderSpec out = llama_like_spec(config);
  for (BlockSpec& block : out.blocks) add_head_norms(block);
  return out;
}

}  // namespace

const Family kQwen3{"qwen3",   "Qwen3ForCausalLM",
                    "qwen3",   llama_keys({"attention_bias"}),
                    read_hf,   read_gguf,
                    write_hf,  spec,
                    {},        false,
                    write_gguf};

}  // namespace halftone
