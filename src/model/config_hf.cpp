// config.json: which family it is of, and what every family has.
#include "compressed_tensors_layout.h"
#include "config_checks.h"
#include "config_hf_parts.h"
#include "halftone/io/strict_json.h"
#include "halftone/io/text_file.h"
#include "model/families/family.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxConfig = 1 << 20;

// What a config.json says that it is of; empty where it does not.
struct Names {
  std::string type, architecture;
};

Names read_names(const ConfigFields& in) {
  Names out{in.has("model_type") ? in.text("model_type") : "", ""};
  if (in.has("architectures")) {
    const Json& list = in.at("architectures");
    if (!list.is_array() || list.size() != 1 || !list[0].is_string())
      in.fail("architectures", "a list of one name");
    out.architecture = list[0].get<std::string>();
    if (out.architecture == "LLaMAForCausalLM") out.architecture = kLlama.architecture;  // at first
  }
  return out;
}

// With packed signs, or as it is trained.
bool is_onebit(const Names& names) {
  return names.type == "bitllama" &&
         (names.architecture == "BitLlamaForCausalLMInf" ||
          names.architecture == "BitLlamaForCausalLM" || names.architecture.empty());
}

const Family& read_family(const ConfigFields& in) {
  const auto [type, architecture] = read_names(in);
  if (is_onebit({type, architecture})) return kLlama;
  for (const Family* family : families())
    if ((architecture == family->architecture || architecture.empty()) &&
        (type == family->model_type || type.empty()) && !(architecture.empty() && type.empty()))
      return *family;
  throw_error(ErrorKind::format,
              "{}: architecture '{}' with model_type '{}' is not supported, expected one of {}",
              in.where(), printable(architecture), printable(type), supported_architectures());
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

Json parse_object(std::string_view json, const std::string& where) {
  Json object = parse_strict_json(json, where);
  if (!object.is_object())
    throw_error(ErrorKind::format, "{}: is {}, expected a JSON object", where,
                printable(object.dump()));
  return object;
}

}  // namespace

ModelConfig parse_config(std::string_view json, const std::string& where) {
  const Json object = parse_object(json, where);
  const ConfigFields in(object, where);
  const Family& family = read_family(in);
  ModelConfig config;
  config.architecture = family.model_type;
  family.read_hf(in, config);
  read_tokens(in, config);
  code_group(in);  // throws where it is not read
  check_keys(in, config, family.keys);
  return config;
}

ModelConfig read_config(const std::string& path) {
  return parse_config(read_text_file(path, kMaxConfig), path);
}

bool is_onebit_config(const std::string& path) {
  const Json object = parse_object(read_text_file(path, kMaxConfig), path);
  return is_onebit(read_names(ConfigFields(object, path)));
}

}  // namespace halftone
