#include "halftone/model/load.h"

#include <filesystem>
#include <optional>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/strict_json.h"
#include "halftone/model/packed.h"
#include "halftone/model/spec.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

constexpr const char* kForms = "linear_forms";

const std::string& meta(const CheckpointContent& content, const std::string& key,
                        const std::string& path) {
  const auto it = content.meta.find(key);
  if (it == content.meta.end())
    throw_error(ErrorKind::format, "{}: meta '{}' is missing", path, key);
  return it->second;
}

// The directory that a file lies in.
std::string directory_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

// Rounds the dense matrices where a dtype to round to is asked for; all else stays as it is.
int64_t round_matrices(Decoder& decoder, const ImportOptions& options) {
  int64_t changed = 0, not_f16 = 0;
  if (options.dtype != WeightDtype::f16 && options.dtype != WeightDtype::bf16) return 0;
  const auto round = [&](Param& param) {
    if (param.value.rank() == 2) param.value = keep_matrix(param.value, options, changed, not_f16);
  };
  decoder.visit([&](Param& param) {
    if (param.role == ParamRole::embedding) round(param);
  });
  decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    if (linear->full_precision()) linear->visit(round);
  });
  return changed;
}

void note_rounding(int64_t changed, int64_t not_f16, LoadedModel& out) {
  if (changed > 0)
    out.notes.push_back(fmt::format("{}: rounding changed {} of its numbers", out.path, changed));
  if (not_f16 > 0)
    out.notes.push_back(fmt::format(
        "{}: F16 would change numbers of {} matrices, which are kept in F32", out.path, not_f16));
}

ModelConfig checkpoint_config(const CheckpointContent& content, const std::string& path) {
  const auto kind = content.meta.find("kind");
  if (kind != content.meta.end() && kind->second == "quantising")
    throw_error(ErrorKind::format,
                "{}: holds the finished blocks of a quantisation that goes on; a whole model is "
                "expected: finish it with `halftone resume`",
                path);
  return parse_config(meta(content, "config", path), path);
}

LoadedModel load_checkpoint(const std::string& path, CheckpointContent content,
                            const ImportOptions& options) {
  LoadedModel out;
  out.path = path;
  out.config = checkpoint_config(content, path);
  out.decoder = decoder_of(content, out.config);
  note_rounding(round_matrices(out.decoder, options), 0, out);
  out.home = directory_of(path);
  out.sha256 = sha256_file(path);
  out.file_bytes = static_cast<int64_t>(fs::file_size(path));
  return out;
}

[[noreturn]] void throw_no_model(const std::string& directory) {
  const std::string result = directory + "/result.json";
  if (exists_at(result)) {
    const nlohmann::json json = read_json_file(result, uint64_t{64} << 20);
    const auto member = [](const nlohmann::json& object, const char* key) {
      return object.is_object() && object.contains(key) ? object.at(key) : nlohmann::json();
    };
    const nlohmann::json teacher = member(member(json, "teacher"), "path");
    if (member(json, "method") == "none")
      throw_error(ErrorKind::format,
                  "{}: holds no model: a run of method none measures its teacher, {}, which is the "
                  "model",
                  directory, teacher.is_string() ? printable(teacher.get<std::string>()) : "?");
  }
  if (exists_at(directory + "/recipe.toml"))
    throw_error(ErrorKind::format,
                "{}: holds no model: the run has no whole checkpoint; go on with `halftone resume "
                "{}`",
                directory, directory);
  throw_error(ErrorKind::format,
              "{}: is no model: expected a directory with config.json and model.safetensors, or a "
              "run directory",
              directory);
}

// The checkpoint that `path` names: the file itself, or a run directory's model.h5 or newest whole
// checkpoint. Nothing for other models.
std::optional<FoundCheckpoint> find_checkpoint(const std::string& path,
                                               std::vector<std::string>& notes) {
  const FileKind kind = file_kind(path);
  if (kind == FileKind::hdf5) return FoundCheckpoint{path, read_checkpoint_file(path)};
  if (kind != FileKind::directory || exists_at(path + "/config.json")) return std::nullopt;
  const std::string model = path + "/model.h5";
  if (exists_at(model)) return FoundCheckpoint{model, read_checkpoint_file(model)};
  std::vector<std::string> damaged;
  auto found = newest_checkpoint(path, damaged);
  for (const std::string& what : damaged) notes.push_back("skipped a damaged checkpoint: " + what);
  if (!found && !damaged.empty()) throw Error(ErrorKind::format, damaged.front());
  if (!found) throw_no_model(path);
  return found;
}

int64_t model_bytes(const std::string& path) {
  if (!fs::is_directory(status_at(path))) return static_cast<int64_t>(fs::file_size(path));
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.path().extension() == ".safetensors")
      bytes += static_cast<int64_t>(entry.file_size());
  return bytes;
}

}  // namespace

LoadedModel load_model(const std::string& path, const ImportOptions& options) {
  std::vector<std::string> notes;
  if (auto found = find_checkpoint(path, notes)) {
    LoadedModel out = load_checkpoint(found->path, std::move(found->content), options);
    out.notes.insert(out.notes.begin(), notes.begin(), notes.end());
    return out;
  }
  if (file_kind(path) == FileKind::packed) return load_packed(path, options.check_seal);
  ImportedModel imported = import_model(path, options);
  LoadedModel out;
  out.decoder = build_decoder(decoder_spec(imported.config), imported.weights, imported.forms);
  out.config = std::move(imported.config);
  out.path = path;
  out.home = path;
  out.sha256 = imported.sha256;
  out.file_bytes = model_bytes(path);
  note_rounding(imported.changed, imported.not_f16, out);
  return out;
}

ModelOutline read_outline(const std::string& path) {
  std::vector<std::string> notes;
  if (const auto found = find_checkpoint(path, notes)) {
    ModelOutline out{checkpoint_config(found->content, found->path), directory_of(found->path)};
    for (const auto& [name, tensor] : found->content.tensors)
      if (name.starts_with("model/") && tensor.rank() == 2)
        out.stored_as_f16 = out.stored_as_f16 && tensor.dtype() != DType::f32;
    const auto forms = found->content.meta.find(kForms);
    out.dense = forms == found->content.meta.end() || forms->second == "{}";
    return out;
  }
  if (file_kind(path) == FileKind::packed) return packed_outline(path);
  ImportOutline imported = read_import_outline(path);
  return {std::move(imported.config), path, imported.dense, imported.stored_as_f16};
}

LinearForms parse_linear_forms(const std::string& text, const std::string& source) {
  LinearForms forms;
  const nlohmann::json json = parse_strict_json(text, source + ": meta linear_forms");
  for (const auto& [name, form] : json.items())
    forms[name] = form.is_string() ? form.get<std::string>() : "";
  return forms;
}

Decoder decoder_of(const CheckpointContent& content, const ModelConfig& config) {
  const std::string prefix = "model/";
  Weights weights;
  for (const auto& [name, tensor] : content.tensors)
    if (name.starts_with(prefix)) weights[name.substr(prefix.size())] = tensor;
  LinearForms forms;
  if (const auto found = content.meta.find(kForms); found != content.meta.end())
    forms = parse_linear_forms(found->second, "checkpoint");
  return build_decoder(decoder_spec(config), weights, forms);
}

void add_model_meta(CheckpointContent& content, Decoder& decoder, const ModelConfig& config) {
  content.meta["config"] = config_json(config, DType::f32);
  content.meta[kForms] = nlohmann::json(linear_forms(decoder)).dump();
}

CheckpointContent model_content(Decoder& decoder, const ModelConfig& config) {
  CheckpointContent content;
  for (auto& [name, tensor] : packed_weights(decoder)) content.tensors["model/" + name] = tensor;
  add_model_meta(content, decoder, config);
  content.meta["kind"] = "model";
  return content;
}

}  // namespace halftone
