#include "halftone/model/load.h"

#include <filesystem>
#include <optional>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/model/import.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

const std::string& meta(const CheckpointContent& content, const std::string& key,
                        const std::string& path) {
  const auto it = content.meta.find(key);
  if (it == content.meta.end())
    throw_error(ErrorKind::format, "{}: meta '{}' is missing", path, key);
  return it->second;
}

OneBitOptions onebit_options(Decoder& decoder) {
  for (Block& block : decoder.blocks)
    if (const auto* onebit = dynamic_cast<OneBitLinear*>(block.q.get())) return onebit->options;
  return {};
}

LoadedModel load_checkpoint(const std::string& path, const std::string& directory) {
  const CheckpointContent content = read_checkpoint_file(path);
  LoadedModel out;
  out.path = path;
  out.config = parse_config(meta(content, "config", path), path);
  out.decoder = decoder_of(content, out.config);
  out.tokenizer_path = directory + "/tokenizer.json";
  if (!fs::exists(out.tokenizer_path)) out.tokenizer_path = meta(content, "tokenizer", path);
  out.sha256 = sha256_file(path);
  out.file_bytes = static_cast<int64_t>(fs::file_size(path));
  return out;
}

// The model of a run directory; nothing where it has none.
std::optional<LoadedModel> load_run(const std::string& directory,
                                    std::vector<std::string>* passed_over) {
  if (fs::exists(directory + "/model.h5"))
    return load_checkpoint(directory + "/model.h5", directory);
  std::vector<std::string> files = checkpoint_files(directory);
  for (; !files.empty(); files.pop_back()) {
    try {
      return load_checkpoint(files.back(), directory);
    } catch (const Error& error) {
      if (!passed_over || files.size() == 1 || error.kind() != ErrorKind::format) throw;
      passed_over->push_back(error.what());
    }
  }
  return {};
}

int64_t model_bytes(const std::string& path) {
  if (!fs::is_directory(path)) return static_cast<int64_t>(fs::file_size(path));
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.path().extension() == ".safetensors")
      bytes += static_cast<int64_t>(entry.file_size());
  return bytes;
}

}  // namespace

LoadedModel load_model(const std::string& path, DType linear_dtype,
                       std::vector<std::string>* passed_over) {
  if (path.ends_with(".h5")) return load_checkpoint(path, fs::path(path).parent_path().string());
  if (fs::is_directory(path) && !fs::exists(path + "/config.json"))
    if (auto model = load_run(path, passed_over)) return std::move(*model);
  ImportedModel imported = import_model(path, linear_dtype);
  LoadedModel out;
  out.decoder = build_decoder(imported.config, imported.weights);
  out.config = std::move(imported.config);
  out.path = path;
  out.tokenizer_path = path;
  out.sha256 = imported.sha256;
  out.file_bytes = model_bytes(path);
  return out;
}

Decoder decoder_of(const CheckpointContent& content, const ModelConfig& config) {
  const std::string prefix = "model/";
  Weights weights;
  for (const auto& [name, tensor] : content.tensors)
    if (name.starts_with(prefix)) weights[name.substr(prefix.size())] = tensor;
  const auto quantised = content.meta.find("quantised");
  std::optional<LowBitLayout> layout;
  if (quantised != content.meta.end()) layout = parse_layout(quantised->second);
  const auto norm = content.meta.find("post_layer_norm");
  return build_decoder(config, weights,
                       {.post_layer_norm = norm == content.meta.end() || norm->second == "true"},
                       layout);
}

void add_model_meta(CheckpointContent& content, Decoder& decoder, const ModelConfig& config,
                    const std::string& tokenizer_path) {
  content.meta["config"] = config_json(config, DType::f32);
  for (Block& block : decoder.blocks)
    if (const auto* low = dynamic_cast<LowBitLinear*>(block.q.get()))
      content.meta["quantised"] = layout_text(low->code.layout);
  content.meta["post_layer_norm"] = onebit_options(decoder).post_layer_norm ? "true" : "false";
  content.meta["tokenizer"] = fs::absolute(tokenizer_path).string();
}

CheckpointContent model_content(Decoder& decoder, const ModelConfig& config,
                                const std::string& tokenizer_path) {
  CheckpointContent content;
  for (auto& [name, tensor] : packed_weights(decoder)) content.tensors["model/" + name] = tensor;
  add_model_meta(content, decoder, config, tokenizer_path);
  content.meta["kind"] = "model";
  return content;
}

}  // namespace halftone
