#include <algorithm>

#include "config_checks.h"
#include "config_hf_parts.h"
#include "halftone/io/strict_json.h"
#include "halftone/io/text_file.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxConfig = 1 << 20;

// An architecture and what transformers takes where its config.json names no value.
struct Family {
  const char* architecture;
  const char* model_type;
  int64_t max_position_embeddings;
  std::optional<int64_t> key_value_heads;  // none: as many as heads
  std::optional<int64_t> sliding_window;
  bool use_sliding_window;
};

constexpr Family kFamilies[] = {
    {"LlamaForCausalLM", "llama", 2048, {}, {}, true},
    {"MistralForCausalLM", "mistral", 4096 * 32, 8, 4096, true},
    {"Qwen2ForCausalLM", "qwen2", 32768, 32, 4096, false},
};

const Family& read_family(const ConfigFields& in) {
  const std::string type = in.has("model_type") ? in.text("model_type") : "";
  std::string architecture;
  if (in.has("architectures")) {
    const Json& list = in.at("architectures");
    if (!list.is_array() || list.size() != 1 || !list[0].is_string())
      in.fail("architectures", "a list of one name");
    architecture = list[0].get<std::string>();
    if (architecture == "LLaMAForCausalLM") architecture = "LlamaForCausalLM";  // its first name
  }
  for (const Family& family : kFamilies)
    if ((architecture == family.architecture || architecture.empty()) &&
        (type == family.model_type || type.empty()) && !(architecture.empty() && type.empty()))
      return family;
  throw_error(ErrorKind::format,
              "{}: architecture '{}' with model_type '{}' is not supported, expected one of {}",
              in.where(), printable(architecture), printable(type), kSupportedArchitectures);
}

void read_sizes(const ConfigFields& in, const Family& family, ModelConfig& config) {
  config.hidden_size = in.whole("hidden_size", 1, kMaxWidth);
  config.intermediate_size = in.whole("intermediate_size", 1, kMaxWidth);
  config.num_hidden_layers = in.whole("num_hidden_layers", 1, kMaxLayers);
  config.num_attention_heads = in.whole("num_attention_heads", 1, kMaxHeads);
  // null is as many as heads; only a key that is not there is the family's default.
  const int64_t heads = config.num_attention_heads,
                absent = in.names("num_key_value_heads") ? heads
                                                         : family.key_value_heads.value_or(heads);
  config.num_key_value_heads = in.whole("num_key_value_heads", 1, kMaxHeads, absent);
  config.head_dim = in.has("head_dim") ? in.whole("head_dim", 2, kMaxHeadDim)
                                       : default_head_dim(config, in.where(), {});
  config.vocab_size = in.whole("vocab_size", 1, kMaxVocabulary);
  config.max_position_embeddings =
      in.whole("max_position_embeddings", 1, kMaxPositions, family.max_position_embeddings);
  check_heads(config, in.where(), {});
}

// Which layers a window is for.
std::vector<bool> read_sliding_layers(const ConfigFields& in, const ModelConfig& config) {
  const int64_t layers = config.num_hidden_layers;
  std::vector<bool> out;
  if (in.has("layer_types")) {
    const Json& types = in.at("layer_types");
    if (!types.is_array() || static_cast<int64_t>(types.size()) != layers)
      in.fail("layer_types", fmt::format("a list of {} names", layers));
    for (const Json& type : types) {
      if (type != "full_attention" && type != "sliding_attention")
        in.fail("layer_types", "\"full_attention\" or \"sliding_attention\" for each layer");
      out.push_back(type == "sliding_attention");
    }
    return out;
  }
  const int64_t first = in.whole("max_window_layers", 0, kMaxLayers, 28);
  for (int64_t i = 0; i < layers; ++i) out.push_back(i >= first);
  return out;
}

void read_window(const ConfigFields& in, const Family& family, ModelConfig& config) {
  // null is no window; only a key that is not there is the family's default.
  std::optional<int64_t> window = family.sliding_window;
  if (in.names("sliding_window")) window = {};
  if (in.has("sliding_window")) window = in.whole("sliding_window", 1, kMaxPositions);
  if (!in.boolean("use_sliding_window", family.use_sliding_window)) window = {};
  const std::vector<bool> slides = read_sliding_layers(in, config);
  const auto sliding = std::count(slides.begin(), slides.end(), true);
  if (!window && in.has("layer_types") && sliding > 0)
    in.fail("layer_types", "\"full_attention\" for each layer, as no sliding window is in use");
  if (config.architecture != "qwen2") {
    config.sliding_window = window;
  } else if (window && sliding > 0) {
    config.sliding_window = window;
    if (sliding < config.num_hidden_layers) config.sliding_layers = slides;
  }
}

void read_biases(const ConfigFields& in, ModelConfig& config) {
  config.attention_bias = config.architecture == "qwen2";
  if (config.architecture != "llama") return;
  config.attention_bias = config.attention_output_bias = in.boolean("attention_bias", false);
  config.mlp_bias = in.boolean("mlp_bias", false);
}

void read_tokens(const ConfigFields& in, ModelConfig& config) {
  // -1 says that there is no such token.
  const std::vector<int64_t> bos = in.wholes("bos_token_id", -1, INT32_MAX);
  if (bos.size() > 1) in.fail("bos_token_id", "one token");
  if (bos.size() == 1 && bos[0] >= 0) config.bos_token_id = bos[0];
  config.eos_token_ids = in.wholes("eos_token_id", -1, INT32_MAX);
  std::erase(config.eos_token_ids, -1);
  const int64_t pad = in.whole("pad_token_id", -1, config.vocab_size - 1, -1);
  if (pad >= 0) config.pad_token_id = pad;
}

void refuse_unsupported(const ConfigFields& in) {
  if (in.has("hidden_act") && in.text("hidden_act") != "silu") in.fail("hidden_act", "\"silu\"");
  if (in.has("quantization_config"))
    in.fail("quantization_config", "full-precision weights, without this field");
}

}  // namespace

ModelConfig parse_config(std::string_view json, const std::string& where) {
  const Json object = parse_strict_json(json, where);
  if (!object.is_object())
    throw_error(ErrorKind::format, "{}: is {}, expected a JSON object", where,
                printable(object.dump()));
  const ConfigFields in(object, where);
  const Family& family = read_family(in);
  ModelConfig config;
  config.architecture = family.model_type;
  read_sizes(in, family, config);
  config.rms_norm_eps = in.real("rms_norm_eps", 1e-20, 1, 1e-6);
  config.tie_word_embeddings = in.boolean("tie_word_embeddings", false);
  read_rope(in, config);
  read_window(in, family, config);
  read_biases(in, config);
  read_tokens(in, config);
  refuse_unsupported(in);
  check_keys(in, config);
  return config;
}

ModelConfig read_config(const std::string& path) {
  return parse_config(read_text_file(path, kMaxConfig), path);
}

}  // namespace halftone
