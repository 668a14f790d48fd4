// tokenizer_config.json and config.json of a Hugging Face folder.
#include <algorithm>
#include <charconv>
#include <filesystem>

#include "halftone/io/strict_json.h"
#include "json_field.h"
#include "loaders.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMostBytes = uint64_t{1} << 26;
constexpr int64_t kMostId = (1 << 24) - 1;

// A token as text, or as an object with its "content".
std::string token_text(const JsonField& field) {
  return field.value.is_object() ? field.at("content").text() : field.text();
}

void read_added(const JsonField& decoder, std::vector<AddedToken>& out) {
  if (!decoder.value.is_object()) decoder.wrong("an object of id to token");
  for (const auto& [key, value] : decoder.value.items()) {
    const JsonField field{value, decoder.file, decoder.name + "['" + printable(key) + "']"};
    int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id > kMostId)
      field.wrong(fmt::format("a token id in 0 .. {} as its key", kMostId));
    out.push_back({.id = static_cast<int32_t>(id),
                   .text = field.at("content").text(),
                   .special = field.flag("special", false),
                   .lstrip = field.flag("lstrip", false),
                   .rstrip = field.flag("rstrip", false),
                   .single_word = field.flag("single_word", false),
                   .normalized = field.flag("normalized", false)});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
}

}  // namespace

FolderSettings read_folder_settings(const std::string& folder) {
  FolderSettings out;
  const auto in_folder = [&](const char* name) {
    return (std::filesystem::path(folder) / name).string();
  };
  if (const std::string path = in_folder("tokenizer_config.json"); std::filesystem::exists(path)) {
    const Json json = read_json_file(path, kMostBytes);
    const JsonField root{json, path, ""};
    if (!json.is_object()) root.wrong("an object");
    if (root.has("eos_token")) out.eos_text = token_text(root.at("eos_token"));
    if (root.has("add_bos_token")) out.add_bos = root.at("add_bos_token").flag();
    if (root.has("added_tokens_decoder")) read_added(root.at("added_tokens_decoder"), out.added);
  }
  if (const std::string path = in_folder("config.json"); std::filesystem::exists(path)) {
    const Json json = read_json_file(path, kMostBytes);
    const JsonField root{json, path, ""};
    if (root.has("eos_token_id")) {
      const JsonField eos = root.at("eos_token_id");
      if (!eos.value.is_array())
        out.eos_id = eos.id(kMostId);
      else if (!eos.value.empty())
        out.eos_id = eos.items()[0].id(kMostId);
    }
  }
  return out;
}

std::optional<int32_t> choose_eos(const FolderSettings& settings,
                                  const std::vector<std::string>& tokens, const std::string& file) {
  const auto id_of = [&](std::string_view text) -> std::optional<int32_t> {
    const auto it = std::find(tokens.begin(), tokens.end(), text);
    if (it == tokens.end()) return std::nullopt;
    return static_cast<int32_t>(it - tokens.begin());
  };
  if (settings.eos_text) {
    const auto id = id_of(*settings.eos_text);
    if (!id)
      throw_error(
          ErrorKind::format,
          "{}: tokenizer_config.json beside it has the eos_token '{}', which is no token here",
          file, printable(*settings.eos_text));
    return id;
  }
  if (settings.eos_id) {
    if (*settings.eos_id >= static_cast<int64_t>(tokens.size()))
      throw_error(ErrorKind::format,
                  "{}: config.json beside it has the eos_token_id {}, a token id below {} expected",
                  file, *settings.eos_id, tokens.size());
    return static_cast<int32_t>(*settings.eos_id);
  }
  for (const char* name : {"<|endoftext|>", "<|end_of_text|>", "</s>"})
    if (const auto id = id_of(name)) return id;
  return std::nullopt;
}

}  // namespace halftone
