// Llama 1 to 3 (Touvron et al., 2023) and all that is made in its shape: TinyLlama, SmolLM2, ...
#include "halftone/base/error.h"
#include "llama_like.h"

namespace halftone {
namespace {

void read_hf(const ConfigFields& in, ModelConfig& config) {
  read_llama_like(in, {2048, {}, {}, true}, config);
  config.attention_bias = config.attention_output_bias = in.boolean("attention_bias", false);
  config.mlp_bias = in.boolean("mlp_bias", false);
}

void read_gguf(const GgufFile& file, const GgufKeys& keys, ModelConfig& config) {
  read_llama_like(file, keys, config);
  config.attention_bias = file.find("blk.0.attn_q.bias") != nullptr;
  config.attention_output_bias = file.find("blk.0.attn_output.bias") != nullptr;
  config.mlp_bias = file.find("blk.0.ffn_gate.bias") != nullptr;
  // On q, k and v alone they are what tells a Qwen2 from a Llama.
  if (config.attention_bias && !config.attention_output_bias && !config.mlp_bias)
    config.architecture = kQwen2.model_type;
  else if (config.attention_bias != config.attention_output_bias)
    throw_error(
        ErrorKind::format,
        "{}: biases in block 0: q {}, o {}, gate {}; expected on q, k and v alone, on o too, "
        "or on none of these",
        file.path(), config.attention_bias, config.attention_output_bias, config.mlp_bias);
}

void write_hf(const ModelConfig& config, nlohmann::ordered_json& out) {
  write_llama_like(config, out);
  out["attention_bias"] = config.attention_bias;
  out["mlp_bias"] = config.mlp_bias;
}

}  // namespace

const Family kLlama{"llama", "LlamaForCausalLM", "llama",  {"attention_bias", "mlp_bias"},
                    read_hf, read_gguf,          write_hf, llama_like_spec};

}  // namespace halftone
