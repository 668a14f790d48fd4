// Llama 1 to 3 (Touvron et al., 2023) and all that is made in its shape: TinyLlama, SmolLM2, ...
#include "llama_like.h"

namespace halftone {
namespace {

void read_hf(const ConfigFields& in, ModelConfig& config) {
  read_llama_like(in, {2048, {}, {}, true}, config);
  config.attention_bias = config.attention_output_bias = in.boolean("attention_bias", false);
  config.mlp_bias = in.boolean("mlp_bias", false);
  config.sliding_window = {};  // transformers' Llama has none, whatever the file says
}

void read_gguf(const GgufFile& file, const GgufKeys& keys, ModelConfig& config) {
  read_llama_like(file, keys, config);
  read_gguf_biases(file, config);
  const bool plain = !config.attention_bias && !config.mlp_bias;
  if (config.sliding_window && plain) config.architecture = kMistral.model_type;
}

void write_hf(const ModelConfig& config, nlohmann::ordered_json& out) {
  require_biases(config, config.attention_bias == config.attention_output_bias);
  write_llama_like(config, out);
  out["attention_bias"] = config.attention_bias;
  out["mlp_bias"] = config.mlp_bias;
}

void write_gguf(const ModelConfig& config, GgufConfig& out) {
  require_gguf_biases(config, config.attention_bias == config.attention_output_bias);
  write_llama_like(config, "llama", out);
}

}  // namespace

const Family kLlama{"llama",   "LlamaForCausalLM",
                    "llama",   llama_keys({"attention_bias", "mlp_bias"}),
                    read_hf,   read_gguf,
                    write_hf,  llama_like_spec,
                    {},        false,
                    write_gguf};

}  // namespace halftone
