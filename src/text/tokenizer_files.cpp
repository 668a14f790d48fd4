#include "halftone/text/tokenizer_files.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "halftone/base/error.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/gguf_metadata.h"
#include "halftone/io/packed_file.h"
#include "halftone/io/strict_json.h"
#include "halftone/io/text_file.h"
#include "loaders.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Files = std::map<std::string, std::string>;

constexpr uint64_t kMostBytes = uint64_t{1} << 30, kMostConfigBytes = uint64_t{1} << 26;
constexpr const char* kNames[] = {
    "tokenizer.json",          "tokenizer.model",   "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "chat_template.json",      "vocab.json",        "merges.txt",
    "generation_config.json"};
constexpr const char* kTemplates = "additional_chat_templates";
const std::string kPrefix = "tokenizer.ggml.", kChat = "tokenizer.chat_template";

Files folder_files(const std::string& folder) {
  Files out;
  for (const char* name : kNames)
    if (const fs::path file = fs::path(folder) / name; exists_at(file))
      out[name] = read_text_file(file.string(), kMostBytes);
  const fs::path templates = fs::path(folder) / kTemplates;
  if (!fs::is_directory(status_at(templates))) return out;
  for (const auto& entry : fs::directory_iterator(templates))
    if (entry.path().extension() == ".jinja")
      out[std::string(kTemplates) + "/" + entry.path().filename().string()] =
          read_text_file(entry.path().string(), kMostBytes);
  return out;
}

// Metadata of a .gguf and the tokenizer that they say.
struct GgufFile {
  GgufMetadata metadata;
  GgufTokenizer tokenizer;

  std::optional<int32_t> id(const std::string& name) const {
    const std::string key = kPrefix + name + "_token_id";
    if (!metadata.has(key)) return std::nullopt;
    const int64_t id = metadata.get_int(key), count = static_cast<int64_t>(tokens().size());
    if (id < 0 || id >= count)
      throw_error(ErrorKind::format, "{}: {}: found {}, expected a token id below {}",
                  metadata.path(), key, id, count);
    return static_cast<int32_t>(id);
  }
  const std::vector<std::string>& tokens() const {
    return std::visit(
        [](const auto& d) -> const auto& { return d.tokens; }, tokenizer);
  }
  std::vector<AddedToken> added() const {
    if (const auto* bpe = std::get_if<BpeDefinition>(&tokenizer)) return bpe->added;
    const SpmDefinition& spm = std::get<SpmDefinition>(tokenizer);
    return added_tokens(spm.tokens, spm.types);
  }
  // Of a token that texts are searched for: to name another one would make it so.
  std::optional<std::string> special_text(const std::optional<int32_t>& id) const {
    for (const AddedToken& token : added())
      if (id && token.id == *id) return token.text;
    return std::nullopt;
  }
};

std::vector<int32_t> gguf_ends(const GgufFile& file) {
  std::vector<int32_t> out;
  for (const char* name : {"eos", "eot", "eom"})
    if (const auto id = file.id(name); id && std::find(out.begin(), out.end(), *id) == out.end())
      out.push_back(*id);
  const auto eos = std::visit([](const auto& d) { return d.eos; }, file.tokenizer);
  if (out.empty() && eos) out.push_back(*eos);
  return out;
}

std::string gguf_tokenizer_config(const GgufFile& file) {
  TokenizerSettings out;
  std::visit(
      [&](const auto& d) {
        out.eos = file.special_text(d.eos);
        out.add_bos = d.bos.has_value();
        out.add_eos = !d.behind.empty();
      },
      file.tokenizer);
  out.bos = file.special_text(file.id("bos"));
  out.pad = file.special_text(file.id("padding"));
  out.unk = file.special_text(file.id("unknown"));
  for (const std::string& key : file.metadata.keys()) {
    if (key == kChat)
      out.chat_templates["default"] = file.metadata.get_string(key);
    else if (key.starts_with(kChat + "."))
      out.chat_templates[key.substr(kChat.size() + 1)] = file.metadata.get_string(key);
  }
  return tokenizer_config_json(out);
}

std::string gguf_generation_config(const GgufFile& file) {
  Json json = Json::object();
  const std::vector<int32_t> ends = gguf_ends(file);
  if (!ends.empty()) json["eos_token_id"] = ends.size() == 1 ? Json(ends[0]) : Json(ends);
  if (const auto bos = file.id("bos")) json["bos_token_id"] = *bos;
  if (const auto pad = file.id("padding")) json["pad_token_id"] = *pad;
  return json.dump() + "\n";
}

std::optional<GgufFile> read_gguf(const std::string& path) {
  GgufMetadata metadata = GgufMetadata::read(path);
  if (!metadata.has(kPrefix + "model")) return std::nullopt;
  GgufTokenizer tokenizer = read_gguf_tokenizer(metadata);
  return GgufFile{std::move(metadata), std::move(tokenizer)};
}

// The eos_token_id of a folder's file; empty where it names none.
std::vector<int32_t> named_ends(const std::string& path) {
  if (!exists_at(path)) return {};
  const Json json = read_json_file(path, kMostConfigBytes);
  const JsonField root{json, path, ""};
  if (!root.has("eos_token_id")) return {};
  const JsonField ends = root.at("eos_token_id");
  std::vector<int32_t> out;
  for (const JsonField& field : ends.value.is_array() ? ends.items() : std::vector{ends})
    if (const auto id = field.id_or_none(kMostId)) out.push_back(static_cast<int32_t>(*id));
  return out;
}

std::string folder_at(const std::string& path, FileKind kind) {
  return kind == FileKind::directory || kind == FileKind::packed ? path : folder_of(path);
}

}  // namespace

std::map<std::string, std::string> tokenizer_files(const std::string& path) {
  const FileKind kind = file_kind(path);
  if (kind == FileKind::packed) return PackedFile::open(path).files();
  if (kind != FileKind::gguf) return folder_files(folder_at(path, kind));
  const auto file = read_gguf(path);
  if (!file) return {};
  return {{"tokenizer.json",
           std::visit([](const auto& d) { return tokenizer_json(d); }, file->tokenizer)},
          {"tokenizer_config.json", gguf_tokenizer_config(*file)},
          {"generation_config.json", gguf_generation_config(*file)}};
}

std::vector<int32_t> end_tokens(const std::string& path) {
  const FileKind kind = file_kind(path);
  if (kind == FileKind::gguf) {
    const auto file = read_gguf(path);
    return file ? gguf_ends(*file) : std::vector<int32_t>{};
  }
  for (const char* name : {"generation_config.json", "config.json"}) {
    const auto ends = named_ends((fs::path(folder_at(path, kind)) / name).string());
    if (!ends.empty()) return ends;
  }
  if (const auto eos = load_tokenizer(path)->eos()) return {*eos};
  return {};
}

}  // namespace halftone
