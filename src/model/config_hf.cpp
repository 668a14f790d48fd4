#include <cmath>
#include <nlohmann/json.hpp>

#include "config_checks.h"
#include "halftone/base/error.h"
#include "halftone/io/strict_json.h"
#include "halftone/io/text_file.h"
#include "halftone/model/config.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxConfig = 1 << 20;

// One object of the file; null counts as absent, as it does in transformers.
class Fields {
 public:
  Fields(const Json& object, std::string where, std::string prefix = "")
      : object_(object), where_(std::move(where)), prefix_(std::move(prefix)) {}

  bool has(const char* key) const { return object_.contains(key) && !object_.at(key).is_null(); }
  const Json& at(const char* key) const { return object_.at(key); }
  const std::string& where() const { return where_; }

  [[noreturn]] void fail(const char* key, const std::string& expected) const {
    throw_error(ErrorKind::format, "{}: {}{} is {}, expected {}", where_, prefix_, key,
                printable(at(key).dump()), expected);
  }

  int64_t whole(const char* key, int64_t low, int64_t high) const {
    expect(key, fmt::format("a whole number from {} to {}", low, high));
    return check_whole(key, at(key), low, high);
  }
  int64_t whole(const char* key, int64_t low, int64_t high, int64_t fallback) const {
    return has(key) ? whole(key, low, high) : fallback;
  }

  // A finite number from low to high.
  double real(const char* key, double low, double high) const {
    const std::string expected = fmt::format("a number from {} to {}", low, high);
    expect(key, expected);
    if (!at(key).is_number()) fail(key, expected);
    const double value = at(key).get<double>();
    if (!(value >= low && value <= high)) fail(key, expected);
    return value;
  }
  double real(const char* key, double low, double high, double fallback) const {
    return has(key) ? real(key, low, high) : fallback;
  }

  bool boolean(const char* key, bool fallback) const {
    if (!has(key)) return fallback;
    if (!at(key).is_boolean()) fail(key, "true or false");
    return at(key).get<bool>();
  }

  std::string text(const char* key) const {
    if (!at(key).is_string()) fail(key, "a text");
    return at(key).get<std::string>();
  }

  // A whole number or a list of them.
  std::vector<int64_t> wholes(const char* key, int64_t low, int64_t high) const {
    std::vector<int64_t> out;
    if (!has(key)) return out;
    if (!at(key).is_array()) return {whole(key, low, high)};
    for (const Json& item : at(key)) out.push_back(check_whole(key, item, low, high));
    return out;
  }

  Fields object(const char* key) const {
    if (!at(key).is_object()) fail(key, "an object");
    return {at(key), where_, prefix_ + key + "."};
  }

 private:
  void expect(const char* key, const std::string& expected) const {
    if (!has(key))
      throw_error(ErrorKind::format, "{}: {}{} is missing, expected {}", where_, prefix_, key,
                  expected);
  }

  int64_t check_whole(const char* key, const Json& value, int64_t low, int64_t high) const {
    const auto inside = [&] {
      if (value.is_number_unsigned()) {
        const uint64_t n = value.get<uint64_t>();
        return n <= static_cast<uint64_t>(INT64_MAX) && low <= value.get<int64_t>() &&
               value.get<int64_t>() <= high;
      }
      return value.is_number_integer() && low <= value.get<int64_t>() &&
             value.get<int64_t>() <= high;
    };
    if (!inside()) fail(key, fmt::format("a whole number from {} to {}", low, high));
    return value.get<int64_t>();
  }

  const Json& object_;
  std::string where_, prefix_;
};

std::string read_architecture(const Fields& in) {
  std::string type = in.has("model_type") ? in.text("model_type") : "";
  std::string architecture;
  if (in.has("architectures")) {
    const Json& list = in.at("architectures");
    if (!list.is_array() || list.size() != 1 || !list[0].is_string())
      in.fail("architectures", "a list of one name");
    architecture = list[0].get<std::string>();
  }
  for (const auto& [name, model_type] :
       {std::pair{"LlamaForCausalLM", "llama"}, {"Qwen2ForCausalLM", "qwen2"}})
    if ((architecture == name || architecture.empty()) && (type == model_type || type.empty()) &&
        !(architecture.empty() && type.empty()))
      return model_type;
  throw_error(ErrorKind::format,
              "{}: architecture '{}' with model_type '{}' is not supported, expected one of {}",
              in.where(), printable(architecture), printable(type), kSupportedArchitectures);
}

RopeScaling read_scaling(const Fields& in, int64_t max_positions) {
  RopeScaling out;
  // "type" is the older spelling.
  const char* key = in.has("rope_type") ? "rope_type" : "type";
  const std::string type = in.has(key) ? in.text(key) : "default";
  if (type == "default") return out;
  if (type != "llama3") in.fail(key, "\"default\" or \"llama3\"");
  out.kind = RopeScaling::Kind::llama3;
  out.factor = in.real("factor", 1, 1e6);
  out.low_freq_factor = in.real("low_freq_factor", 1e-6, 1e6);
  out.high_freq_factor = in.real("high_freq_factor", 1e-6, 1e6);
  out.original_max_position_embeddings =
      in.whole("original_max_position_embeddings", 1, kMaxPositions, max_positions);
  return out;
}

// rope_theta and rope_scaling of transformers 4, rope_parameters of 5; both when they agree.
void read_rope(const Fields& in, ModelConfig& config) {
  constexpr double kLow = 1, kHigh = 1e12;
  const bool has_scaling = in.has("rope_scaling");
  config.rope_theta = in.real("rope_theta", kLow, kHigh, 10000);
  if (has_scaling)
    config.rope_scaling = read_scaling(in.object("rope_scaling"), config.max_position_embeddings);
  if (!in.has("rope_parameters")) return;
  const Fields parameters = in.object("rope_parameters");
  for (const auto& [key, value] : in.at("rope_parameters").items())
    if (value.is_object()) parameters.fail(key.c_str(), "one rotary embedding for all layers");
  const double theta = parameters.real("rope_theta", kLow, kHigh, config.rope_theta);
  if (in.has("rope_theta") && theta != config.rope_theta)
    parameters.fail("rope_theta", fmt::format("{}, as rope_theta says", config.rope_theta));
  const RopeScaling scaling = read_scaling(parameters, config.max_position_embeddings);
  if (has_scaling && !(scaling == config.rope_scaling))
    in.fail("rope_parameters", "the same as rope_scaling");
  config.rope_theta = theta;
  config.rope_scaling = scaling;
  if (parameters.has("partial_rotary_factor") &&
      parameters.real("partial_rotary_factor", 0, 1) != 1)
    parameters.fail("partial_rotary_factor", "1");
}

void refuse_unsupported(const Fields& in, const ModelConfig& config) {
  if (in.has("hidden_act") && in.text("hidden_act") != "silu") in.fail("hidden_act", "\"silu\"");
  if (in.has("quantization_config"))
    in.fail("quantization_config", "full-precision weights, without this field");
  if (in.has("partial_rotary_factor") && in.real("partial_rotary_factor", 0, 1) != 1)
    in.fail("partial_rotary_factor", "1");
  const bool window = in.has("use_sliding_window")
                          ? in.boolean("use_sliding_window", false)
                          : config.architecture != "qwen2" && in.has("sliding_window");
  if (window)
    in.fail(in.has("use_sliding_window") ? "use_sliding_window" : "sliding_window",
            "no sliding window: attention over the whole context");
  if (in.has("layer_types")) {
    if (!in.at("layer_types").is_array()) in.fail("layer_types", "a list");
    for (const Json& type : in.at("layer_types"))
      if (type != "full_attention") in.fail("layer_types", "\"full_attention\" for all layers");
  }
}

void read_biases(const Fields& in, ModelConfig& config) {
  if (config.architecture == "qwen2") {
    // Biases are part of the architecture; a field that says otherwise would be ignored there.
    config.attention_bias = true;
    return;
  }
  config.attention_bias = config.attention_output_bias = in.boolean("attention_bias", false);
  config.mlp_bias = in.boolean("mlp_bias", false);
}

}  // namespace

ModelConfig parse_config(std::string_view json, const std::string& path) {
  const std::string where = path;
  const Json object = parse_strict_json(json, path);
  if (!object.is_object())
    throw_error(ErrorKind::format, "{}: is {}, expected a JSON object", where,
                printable(object.dump()));
  const Fields in(object, where);
  ModelConfig config;
  config.architecture = read_architecture(in);
  config.hidden_size = in.whole("hidden_size", 1, kMaxWidth);
  config.intermediate_size = in.whole("intermediate_size", 1, kMaxWidth);
  config.num_hidden_layers = in.whole("num_hidden_layers", 1, kMaxLayers);
  config.num_attention_heads = in.whole("num_attention_heads", 1, kMaxHeads);
  config.num_key_value_heads =
      in.whole("num_key_value_heads", 1, kMaxHeads, config.num_attention_heads);
  config.head_dim = in.has("head_dim") ? in.whole("head_dim", 2, kMaxHeadDim)
                                       : default_head_dim(config, where, {});
  config.vocab_size = in.whole("vocab_size", 1, kMaxVocabulary);
  config.max_position_embeddings = in.whole("max_position_embeddings", 1, kMaxPositions,
                                            config.architecture == "qwen2" ? 32768 : 2048);
  config.rms_norm_eps = in.real("rms_norm_eps", 1e-20, 1, 1e-6);
  config.tie_word_embeddings = in.boolean("tie_word_embeddings", false);
  const std::vector<int64_t> bos = in.wholes("bos_token_id", 0, config.vocab_size - 1);
  if (bos.size() > 1) in.fail("bos_token_id", "one token");
  if (bos.size() == 1) config.bos_token_id = bos[0];
  config.eos_token_ids = in.wholes("eos_token_id", 0, config.vocab_size - 1);
  read_rope(in, config);
  read_biases(in, config);
  refuse_unsupported(in, config);
  check_config(config, where, {});
  return config;
}

ModelConfig read_config(const std::string& path) {
  return parse_config(read_text_file(path, kMaxConfig), path);
}

}  // namespace halftone
