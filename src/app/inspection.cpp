#include "inspection.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "app/console.h"
#include "app/recipe.h"
#include "halftone/base/error.h"
#include "halftone/io/checkpoint_file.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/gguf.h"
#include "halftone/io/packed_file.h"
#include "halftone/io/safetensors.h"
#include "halftone/io/strict_json.h"
#include "halftone/io/text_file.h"
#include "halftone/model/import.h"
#include "halftone/model/load.h"
#include "halftone/model/spec.h"
#include "halftone/text/tokenizer.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kMostBytes = uint64_t{1} << 30;

// What a fact's file says, or nothing: a fact that cannot be read is no reason to show no tensors.
template <class Read>
auto fact(const Read& read) -> decltype(read()) {
  try {
    return read();
  } catch (const Error&) {
    return {};
  }
}

Json object_in(const std::string& path) {
  return fact([&] { return exists_at(path) ? read_json_file(path, kMostBytes) : Json(); });
}

void add_ids(const Json& object, const char* key, std::vector<int64_t>& out) {
  if (!object.is_object() || !object.contains(key)) return;
  const Json& ids = object.at(key);
  for (const Json& id : ids.is_array() ? ids : Json::array({ids}))
    if (id.is_number_integer()) out.push_back(id.get<int64_t>());
}

// Architecture and end tokens of a config.json.
void add_configuration(const Json& config, Inspection& out) {
  add_ids(config, "eos_token_id", out.end_ids);
  if (!config.is_object()) return;
  if (config.contains("architectures") && config.at("architectures").is_array()) {
    for (const Json& name : config.at("architectures"))
      if (name.is_string())
        out.architecture += (out.architecture.empty() ? "" : ", ") + name.get<std::string>();
  } else if (config.contains("model_type") && config.at("model_type").is_string()) {
    out.architecture = config.at("model_type").get<std::string>();
  }
}

Inspection inspect_checkpoint(CheckpointContent content, const std::string& file) {
  Inspection out{.stored = stored_tensors(content.tensors), .format = "Halftone checkpoint"};
  out.stored.file_bytes = fs::file_size(file);
  const fs::path parent = fs::path(file).parent_path();
  out.home = parent.empty() ? "." : parent.string();
  out.kind = content.meta["kind"];
  out.step = content.meta["step"];
  add_configuration(fact([&] { return parse_strict_json(content.meta["config"], file); }), out);
  const std::string recipe = out.home + "/recipe.toml";
  if (!exists_at(recipe)) return out;
  for (const auto& [key, value] :
       fact([&] { return recipe_entries(read_text_file(recipe, kMostBytes), recipe); }))
    if (key == "run.method") out.method = value;
  std::erase(out.method, '\'');
  return out;
}

Inspection inspect_gguf(const std::string& path) {
  const GgufFile file = GgufFile::open(path);
  const GgufMetadata& metadata = file.metadata();
  Inspection out{.stored = file.list(),
                 .format = fmt::format("GGUF version {}", metadata.version()),
                 .home = path};
  out.architecture = fact([&] { return metadata.get_string("general.architecture", ""); });
  const char* end = "tokenizer.ggml.eos_token_id";
  if (metadata.has(end)) out.end_ids = fact([&] { return std::vector{metadata.get_int(end)}; });
  return out;
}

Inspection inspect_packed(const std::string& path) {
  const PackedFile file = PackedFile::open(path);
  Inspection out{.stored = file.list(), .format = "Halftone packed model", .home = path};
  if (const auto config = file.meta().find("config"); config != file.meta().end())
    add_configuration(fact([&] { return parse_strict_json(config->second, path); }), out);
  add_ids(object_in(path + "/generation_config.json"), "eos_token_id", out.end_ids);
  return out;
}

Inspection inspect_file(const std::string& path) {
  switch (const FileKind kind = file_kind(path); kind) {
    case FileKind::gguf:
      return inspect_gguf(path);
    case FileKind::packed:
      return inspect_packed(path);
    case FileKind::hdf5:
      return inspect_checkpoint(read_checkpoint_file(path), path);
    case FileKind::safetensors:
      return {.stored = list_safetensors(path), .format = "safetensors"};
    case FileKind::pickle:
      throw_error(ErrorKind::format,
                  "{}: pickled weights can run code and are not read: convert them to safetensors",
                  path);
    default:
      if (path.ends_with(".safetensors"))
        return {.stored = list_safetensors(path)};  // says why not
      if (path.ends_with(".json"))
        return {.stored = list_sharded_safetensors(path), .format = "safetensors, several files"};
      throw_error(ErrorKind::format,
                  "{}: is no model, but {}: expected a directory, a .safetensors, a GGUF file or a "
                  "checkpoint",
                  path, file_kind_name(kind));
  }
}

Inspection inspect_run(const std::string& path) {
  std::vector<std::string> damaged;
  auto found = newest_checkpoint(path, damaged);
  for (const std::string& what : damaged) say("skipped a damaged checkpoint: {}\n", what);
  if (found) return inspect_checkpoint(std::move(found->content), found->path);
  if (exists_at(path + "/model.h5")) return inspect_file(path + "/model.h5");
  load_model(path);  // throws, and says what is missing
  throw_error(ErrorKind::format, "{}: holds no tensors", path);
}

// Of the linears of the blocks that a file stores in fewer than 16 bits a weight, or where there
// are none of all: how many weights they have, and the bits of each.
struct StoredLinears {
  int64_t quantised = 0, weights = 0;
  double bits = 0, quantised_bits = 0;

  double bits_a_weight() const {
    return quantised > 0 ? quantised_bits / static_cast<double>(quantised)
                         : bits / static_cast<double>(weights);
  }
};

StoredLinears stored_linears(const ModelConfig& config, const StoredTensors& stored) {
  StoredLinears out;
  for (const ExpectedWeight& spec : expected_weights(decoder_spec(config))) {
    if (spec.role != ParamRole::weight) continue;
    const StoredTensor* tensor = stored.find(spec.name);
    if (!tensor) tensor = stored.find(spec.gguf_name);
    const double bits = 8 * static_cast<double>(tensor->bytes.size());
    const int64_t weights = numel(spec.shape);
    out.bits += bits;
    out.weights += weights;
    if (bits >= 16 * static_cast<double>(weights)) continue;
    out.quantised_bits += bits;
    out.quantised += weights;
  }
  return out;
}

Footprint footprint_of(const std::string& path, const Inspection& found) {
  if (found.home.empty())
    throw_error(ErrorKind::format,
                "a safetensors file has no configuration: a directory with config.json, "
                "model.safetensors and a tokenizer is a model");
  // Of these the outline does not say that every tensor is there.
  const bool own = !found.kind.empty() || file_kind(path) == FileKind::packed;
  const ModelOutline outline = own ? ModelOutline{} : read_outline(path);
  if (own || !outline.dense) {
    LoadedModel model = load_model(path);
    return footprint(model.decoder, model.file_bytes);
  }
  const ModelConfig& config = outline.config;
  Footprint out{.parameters = parameter_count(decoder_spec(config))};
  const StoredLinears linears = stored_linears(config, found.stored);
  out.quantised_parameters = linears.quantised;
  out.paper_bits = out.linear_bits = linears.bits_a_weight();
  out.file_bits =
      8 * static_cast<double>(found.stored.file_bytes) / static_cast<double>(out.parameters);
  return out;
}

// What the files say of a tokenizer that need not be one that Halftone reads.
std::string tokenizer_kind(const std::string& home) {
  if (file_kind(home) == FileKind::gguf)
    return fact([&] { return GgufMetadata::read(home).get_string("tokenizer.ggml.model", ""); });
  const Json json = object_in(home + "/tokenizer.json");
  if (json.is_object()) {
    const Json model = json.value("model", Json());
    const Json type = model.is_object() ? model.value("type", Json()) : Json();
    return type.is_string() ? type.get<std::string>() : "tokenizer.json";
  }
  return exists_at(home + "/tokenizer.model") ? "SentencePiece" : "";
}

}  // namespace

Inspection inspect_path(const std::string& path) {
  if (file_kind(path) != FileKind::directory) return inspect_file(path);
  const bool weights =
      exists_at(path + "/model.safetensors") || exists_at(path + "/model.safetensors.index.json");
  if (!weights && !exists_at(path + "/config.json")) return inspect_run(path);
  Inspection out = inspect_file(hf_weights_file(path));
  out.home = path;
  add_configuration(object_in(path + "/config.json"), out);
  add_ids(object_in(path + "/generation_config.json"), "eos_token_id", out.end_ids);
  return out;
}

TokenizerFacts inspect_tokenizer(const Inspection& found) {
  TokenizerFacts out;
  std::set<int64_t> ids(found.end_ids.begin(), found.end_ids.end());
  std::unique_ptr<Tokenizer> tokenizer;
  if (!found.home.empty()) out.kind = tokenizer_kind(found.home);
  if (!out.kind.empty()) {
    try {
      tokenizer = load_tokenizer(found.home);
      out.kind += fmt::format(", {} tokens", tokenizer->vocab_size());
      if (tokenizer->eos()) ids.insert(*tokenizer->eos());
    } catch (const Error& error) {
      out.kind += fmt::format(", which cannot be read: {}", error.what());
    }
  }
  for (const int64_t id : ids) {
    const bool known = tokenizer && id >= 0 && id < tokenizer->vocab_size();
    const auto token = static_cast<int32_t>(id);
    out.end_tokens.emplace_back(id, known ? tokenizer->decode({&token, 1}) : "");
  }
  return out;
}

ModelFacts inspect_model(const std::string& path, const Inspection& found) {
  try {
    return {.footprint = footprint_of(path, found)};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::format) throw;
    return {.obstacle = error.what()};
  }
}

}  // namespace halftone
