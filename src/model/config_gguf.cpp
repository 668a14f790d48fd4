#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "config_checks.h"
#include "halftone/base/error.h"
#include "halftone/io/gguf.h"
#include "halftone/model/config.h"

namespace halftone {
namespace {

// Keys of one architecture: "llama.block_count".
class Keys {
 public:
  Keys(const GgufMetadata& metadata, std::string architecture)
      : metadata_(metadata), prefix_(std::move(architecture) + ".") {}

  bool has(const std::string& key) const { return metadata_.has(prefix_ + key); }
  std::string where() const { return metadata_.path(); }
  std::string text(const std::string& key) const { return metadata_.get_string(prefix_ + key); }

  int64_t whole(const std::string& key, int64_t low, int64_t high) const {
    const int64_t value = metadata_.get_int(prefix_ + key);
    if (value < low || value > high)
      throw_error(ErrorKind::format, "{}: {}{} is {}, expected a whole number from {} to {}",
                  where(), prefix_, key, value, low, high);
    return value;
  }
  int64_t whole(const std::string& key, int64_t low, int64_t high, int64_t fallback) const {
    return has(key) ? whole(key, low, high) : fallback;
  }

  // Writers store f32: the shortest decimal of that is the number they were given.
  double real(const std::string& key, double low, double high) const {
    double value = metadata_.get_float(prefix_ + key);
    if (!(value >= low && value <= high))
      throw_error(ErrorKind::format, "{}: {}{} is {}, expected a number from {} to {}", where(),
                  prefix_, key, value, low, high);
    if (const float single = static_cast<float>(value); static_cast<double>(single) == value)
      value = std::strtod(fmt::format("{}", single).c_str(), nullptr);
    return value;
  }
  double real(const std::string& key, double low, double high, double fallback) const {
    return has(key) ? real(key, low, high) : fallback;
  }

  template <class Value>
  [[noreturn]] void fail(const std::string& key, const Value& found, const char* expected) const {
    throw_error(ErrorKind::format, "{}: {}{} is {}, expected {}", where(), prefix_, key, found,
                expected);
  }

 private:
  const GgufMetadata& metadata_;
  std::string prefix_;
};

std::string read_architecture(const GgufMetadata& metadata) {
  const std::string name = metadata.get_string("general.architecture");
  if (name != "llama" && name != "qwen2")
    throw_error(ErrorKind::format,
                "{}: general.architecture is '{}', which is not supported, expected one of {}",
                metadata.path(), printable(name), kSupportedArchitectures);
  return name;
}

void refuse_unsupported(const GgufMetadata& metadata, const Keys& keys, const ModelConfig& config) {
  if (metadata.get_int("split.count", 1) > 1)
    throw_error(ErrorKind::format,
                "{}: split.count is {}, expected one file: merge the parts first", keys.where(),
                metadata.get_int("split.count"));
  if (keys.has("expert_count") && keys.whole("expert_count", 0, kMaxWidth) != 0)
    keys.fail("expert_count", keys.whole("expert_count", 0, kMaxWidth), "0: no mixture of experts");
  if (keys.has("attention.sliding_window") &&
      keys.whole("attention.sliding_window", 0, kMaxPositions) != 0)
    keys.fail("attention.sliding_window", keys.whole("attention.sliding_window", 0, kMaxPositions),
              "no sliding window");
  if (keys.has("rope.scaling.type") && keys.text("rope.scaling.type") != "none")
    keys.fail("rope.scaling.type", printable(keys.text("rope.scaling.type")), "'none'");
  if (const double scale = keys.real("rope.scale_linear", 0, 1e6, 1); scale != 1)
    keys.fail("rope.scale_linear", scale, "1");
  if (const int64_t value = keys.whole("attention.value_length", 1, kMaxHeadDim, config.head_dim);
      value != config.head_dim)
    keys.fail("attention.value_length", value, "the length of the keys");
  if (const int64_t n = keys.whole("rope.dimension_count", 1, kMaxHeadDim, config.head_dim);
      n != config.head_dim)
    keys.fail("rope.dimension_count", n,
              fmt::format("{}, the length of a head", config.head_dim).c_str());
}

int64_t read_vocabulary(const GgufFile& file, const Keys& keys) {
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

std::optional<int64_t> read_token(const GgufMetadata& metadata, const std::string& key,
                                  int64_t vocabulary) {
  if (!metadata.has(key)) return {};
  const int64_t id = metadata.get_int(key);
  if (id < 0 || id >= vocabulary)
    throw_error(ErrorKind::format, "{}: {} is {}, expected a token from 0 to {}", metadata.path(),
                key, id, vocabulary - 1);
  return id;
}

// rope_freqs.weight holds what llama3 scaling divides each frequency by. Its parameters are found
// again: the published models differ in the factor alone.
RopeScaling read_scaling(const GgufFile& file, ModelConfig config) {
  const GgufTensor* entry = file.find("rope_freqs.weight");
  if (!entry) return {};
  const std::string where = fmt::format("{}: tensor 'rope_freqs.weight'", file.path());
  if (entry->shape != Shape{config.head_dim / 2})
    throw_error(ErrorKind::format, "{} has shape {}, expected [{}]", where,
                shape_text(entry->shape), config.head_dim / 2);
  if (std::string_view(entry->type->name) != "F32")
    throw_error(ErrorKind::format, "{} is of type {}, expected F32", where, entry->type->name);
  const Tensor factors = file.read(*entry);
  const float* found = factors.data<float>();
  const std::vector<double> plain = rope_inverse_frequencies(config);
  config.rope_scaling.kind = RopeScaling::Kind::llama3;
  config.rope_scaling.factor = static_cast<double>(*std::max_element(found, found + plain.size()));
  const std::vector<double> scaled = rope_inverse_frequencies(config);
  for (size_t i = 0; i < plain.size(); ++i)
    if (!(std::abs(found[i] * scaled[i] / plain[i] - 1) < 1e-4))
      throw_error(ErrorKind::format,
                  "{}: factor {} is {}, llama3 scaling by {} (low 1, high 4, context 8192) has {}",
                  where, i, found[i], config.rope_scaling.factor, plain[i] / scaled[i]);
  if (config.rope_scaling.factor == 1) return {};
  return config.rope_scaling;
}

}  // namespace

ModelConfig read_gguf_config(const GgufFile& file) {
  const GgufMetadata& metadata = file.metadata();
  ModelConfig config;
  config.architecture = read_architecture(metadata);
  const Keys keys(metadata, config.architecture);
  config.hidden_size = keys.whole("embedding_length", 1, kMaxWidth);
  config.intermediate_size = keys.whole("feed_forward_length", 1, kMaxWidth);
  config.num_hidden_layers = keys.whole("block_count", 1, kMaxLayers);
  config.num_attention_heads = keys.whole("attention.head_count", 1, kMaxHeads);
  config.num_key_value_heads =
      keys.whole("attention.head_count_kv", 1, kMaxHeads, config.num_attention_heads);
  const std::string prefix = config.architecture + ".";
  const std::string kv = prefix + "attention.head_count_kv",
                    heads = prefix + "attention.head_count", head = prefix + "attention.key_length",
                    hidden = prefix + "embedding_length";
  const ConfigFieldNames names = {kv.c_str(), heads.c_str(), head.c_str(), hidden.c_str()};
  config.head_dim = keys.has("attention.key_length")
                        ? keys.whole("attention.key_length", 2, kMaxHeadDim)
                        : default_head_dim(config, keys.where(), names);
  config.vocab_size = read_vocabulary(file, keys);
  config.max_position_embeddings = keys.whole("context_length", 1, kMaxPositions);
  config.rms_norm_eps = keys.real("attention.layer_norm_rms_epsilon", 1e-20, 1);
  config.rope_theta = keys.real("rope.freq_base", 1, 1e12, 10000);
  config.tie_word_embeddings = !file.find("output.weight");
  config.attention_bias = config.architecture == "qwen2" || file.find("blk.0.attn_q.bias");
  config.attention_output_bias = file.find("blk.0.attn_output.bias") != nullptr;
  config.mlp_bias = file.find("blk.0.ffn_gate.bias") != nullptr;
  config.bos_token_id = read_token(metadata, "tokenizer.ggml.bos_token_id", config.vocab_size);
  if (const auto eos = read_token(metadata, "tokenizer.ggml.eos_token_id", config.vocab_size))
    config.eos_token_ids = {*eos};
  check_config(config, keys.where(), names);
  refuse_unsupported(metadata, keys, config);
  config.rope_scaling = read_scaling(file, config);
  return config;
}

}  // namespace halftone
