#include "config_checks.h"
#include "config_gguf_parts.h"
#include "halftone/base/error.h"

namespace halftone {
namespace {

std::string read_architecture(const GgufMetadata& metadata) {
  const std::string name = metadata.get_string("general.architecture");
  if (name != "llama" && name != "qwen2")
    throw_error(ErrorKind::format,
                "{}: general.architecture is '{}', which is not supported, expected one of {}",
                metadata.path(), printable(name), kSupportedArchitectures);
  return name;
}

void refuse_unsupported(const GgufMetadata& metadata, const GgufKeys& keys,
                        const ModelConfig& config) {
  if (metadata.get_int("split.count", 1) > 1)
    throw_error(ErrorKind::format,
                "{}: split.count is {}, expected one file: merge the parts first", keys.where(),
                metadata.get_int("split.count"));
  for (const char* key : {"attention.value_length", "rope.dimension_count"})
    if (keys.whole(key, 1, kMaxHeadDim, config.head_dim) != config.head_dim)
      keys.fail(key, fmt::format("{}, the length of a head", config.head_dim));
}

int64_t read_vocabulary(const GgufFile& file, const GgufKeys& keys) {
  if (keys.has("vocab_size")) return keys.whole("vocab_size", 1, kMaxVocabulary);
  const GgufTensor* embedding = file.find("token_embd.weight");
  if (!embedding || embedding->shape.size() != 2)
    throw_error(ErrorKind::format, "{}: tensor 'token_embd.weight' is missing or no matrix",
                keys.where());
  if (embedding->shape[0] > kMaxVocabulary)
    throw_error(ErrorKind::format,
                "{}: tensor 'token_embd.weight' has {} rows, at most {} expected", keys.where(),
                embedding->shape[0], kMaxVocabulary);
  return embedding->shape[0];
}

// Writers put -1 in whichever integer type for a token that the model does not have.
std::optional<int64_t> read_token(const GgufMetadata& metadata, const char* key) {
  const int64_t id = metadata.get_int(key, -1);
  if (id < 0 || id > INT32_MAX) return {};
  return id;
}

void read_sizes(const GgufFile& file, const GgufKeys& keys, ModelConfig& config) {
  const std::string kv = keys.full("attention.head_count_kv"),
                    heads = keys.full("attention.head_count"),
                    head = keys.full("attention.key_length"),
                    hidden = keys.full("embedding_length");
  const ConfigFieldNames names = {kv.c_str(), heads.c_str(), head.c_str(), hidden.c_str()};
  config.num_hidden_layers = keys.whole("block_count", 1, kMaxLayers);
  const int64_t layers = config.num_hidden_layers;
  config.hidden_size = keys.whole("embedding_length", 1, kMaxWidth);
  config.intermediate_size = keys.whole_of_layers("feed_forward_length", 1, kMaxWidth, layers);
  config.num_attention_heads = keys.whole_of_layers("attention.head_count", 1, kMaxHeads, layers);
  config.num_key_value_heads =
      keys.has("attention.head_count_kv")
          ? keys.whole_of_layers("attention.head_count_kv", 1, kMaxHeads, layers)
          : config.num_attention_heads;
  config.head_dim = keys.has("attention.key_length")
                        ? keys.whole("attention.key_length", 2, kMaxHeadDim)
                        : default_head_dim(config, keys.where(), names);
  config.vocab_size = read_vocabulary(file, keys);
  config.max_position_embeddings = keys.whole("context_length", 1, kMaxPositions);
  check_heads(config, keys.where(), names);
}

void read_biases(const GgufFile& file, ModelConfig& config) {
  config.attention_bias = config.architecture == "qwen2" || file.find("blk.0.attn_q.bias");
  config.attention_output_bias = file.find("blk.0.attn_output.bias") != nullptr;
  config.mlp_bias = file.find("blk.0.ffn_gate.bias") != nullptr;
  // On q, k and v alone they are what tells a Qwen2 from a Llama.
  if (config.attention_bias && !config.attention_output_bias && !config.mlp_bias)
    config.architecture = "qwen2";
  else if (config.architecture == "qwen2" || config.attention_bias != config.attention_output_bias)
    throw_error(
        ErrorKind::format,
        "{}: biases in block 0: q {}, o {}, gate {}; expected on q, k and v alone, on o too, "
        "or on none of these",
        file.path(), config.attention_bias, config.attention_output_bias, config.mlp_bias);
}

void read_tokens(const GgufMetadata& metadata, ModelConfig& config) {
  config.bos_token_id = read_token(metadata, "tokenizer.ggml.bos_token_id");
  if (const auto eos = read_token(metadata, "tokenizer.ggml.eos_token_id"))
    config.eos_token_ids = {*eos};
  config.pad_token_id = read_token(metadata, "tokenizer.ggml.padding_token_id");
}

}  // namespace

ModelConfig read_gguf_config(const GgufFile& file) {
  const GgufMetadata& metadata = file.metadata();
  ModelConfig config;
  config.architecture = read_architecture(metadata);
  const GgufKeys keys(metadata, config.architecture);
  read_sizes(file, keys, config);
  config.rms_norm_eps = keys.real("attention.layer_norm_rms_epsilon", 1e-20, 1);
  if (const int64_t window = keys.whole("attention.sliding_window", 0, kMaxPositions, 0))
    config.sliding_window = window;
  config.tie_word_embeddings = !file.find("output.weight");
  read_biases(file, config);
  read_tokens(metadata, config);
  refuse_unsupported(metadata, keys, config);
  read_gguf_rope(file, keys, config);
  check_gguf_keys(keys, config);
  return config;
}

}  // namespace halftone
