// What lies beside a tokenizer in a Hugging Face folder, read as transformers 5 does.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>

#include "halftone/io/file_kind.h"
#include "halftone/io/strict_json.h"
#include "loaders.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMostBytes = uint64_t{1} << 26;
constexpr const char* kSpecialNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                         "pad_token", "cls_token", "mask_token"};

NamedToken named_token(const JsonField& field, AddedToken token) {
  NamedToken named;
  named.token = std::move(token);
  named.file = field.file;
  named.field = field.name;
  return named;
}

// A token as text, or as an object with its content.
std::string token_text(const JsonField& field) {
  return field.value.is_object() ? field.at("content").text() : field.text();
}

// Reads the files of one folder, each of which may be missing.
class FolderReader {
 public:
  explicit FolderReader(const std::string& folder) : folder_(folder) {}
  FolderSettings read();

 private:
  // Calls use(root) with the file's object, where there is such a file.
  template <class Use>
  void with(const char* name, const Use& use);
  void read_tokenizer_config(const JsonField& root);
  void read_special_tokens(const JsonField& root);
  void read_decoder(const JsonField& decoder);
  void read_added_json(const JsonField& root, const std::set<std::string>& special);
  void read_eos_text(const JsonField& root);
  void read_eos_id(const JsonField& root);
  std::vector<NamedToken> special_tokens() const;

  std::string folder_;
  FolderSettings out_;
  std::vector<NamedToken> with_id_, extra_;
  std::map<std::string, NamedToken> special_;  // by key: bos_token ..
  bool has_decoder_ = false;
};

template <class Use>
void FolderReader::with(const char* name, const Use& use) {
  const std::string path = (std::filesystem::path(folder_) / name).string();
  if (!exists(status_at(path))) return;
  const Json json = read_json_file(path, kMostBytes);
  const JsonField root{json, path, ""};
  if (!json.is_object()) root.wrong("an object");
  use(root);
}

// A special token, with the flags of an object.
NamedToken special_token(const JsonField& field) {
  AddedToken token;
  if (field.value.is_object())
    token = read_added_token(field);
  else
    token.text = field.text();
  token.special = true;
  return named_token(field, std::move(token));
}

// bos_token, eos_token .., other keys "..._token" that are texts, and a list; what a file before
// names stays.
void FolderReader::read_special_tokens(const JsonField& root) {
  for (const char* key : kSpecialNames)
    if (root.has(key)) special_.emplace(key, special_token(root.at(key)));
  for (const auto& [key, value] : root.value.items())
    if (key.ends_with("_token") && value.is_string())
      special_.emplace(key, special_token(root.at(key)));
  const bool extra =
      root.has("extra_special_tokens") && !root.at("extra_special_tokens").value.empty();
  const char* key = extra ? "extra_special_tokens" : "additional_special_tokens";
  if (!root.has(key) || !extra_.empty()) return;
  const JsonField list = root.at(key);
  if (list.value.is_object())
    for (const auto& [token, value] : list.value.items())
      extra_.push_back(special_token(list.at(token)));
  else
    for (const JsonField& token : list.items()) extra_.push_back(special_token(token));
}

// In the order in which they are added: it numbers those that the vocabulary has not. Of several
// with one text the last one's flags hold.
std::vector<NamedToken> FolderReader::special_tokens() const {
  std::vector<NamedToken> all, out;
  std::map<std::string, NamedToken> others = special_;
  for (const char* key : kSpecialNames)
    if (const auto node = others.extract(key)) all.push_back(node.mapped());
  for (const auto& [key, named] : others) all.push_back(named);
  all.insert(all.end(), extra_.begin(), extra_.end());
  for (const NamedToken& named : all) {
    const auto same = [&](const NamedToken& other) { return other.token.text == named.token.text; };
    const auto it = std::find_if(out.begin(), out.end(), same);
    if (it == out.end())
      out.push_back(named);
    else
      it->token = named.token;
  }
  return out;
}

void FolderReader::read_decoder(const JsonField& decoder) {
  if (!decoder.value.is_object()) decoder.wrong("an object of id to token");
  for (const auto& [key, value] : decoder.value.items()) {
    const JsonField field{value, decoder.file, decoder.name + "['" + printable(key) + "']"};
    int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id > kMostId)
      field.wrong(fmt::format("a token id in 0 .. {} as its key", kMostId));
    with_id_.push_back(named_token(field, read_added_token(field)));
    with_id_.back().token.id = static_cast<int32_t>(id);
    with_id_.back().has_id = with_id_.back().replaces = true;
  }
}

// `special`: the texts of the special tokens.
void FolderReader::read_added_json(const JsonField& root, const std::set<std::string>& special) {
  for (const auto& [text, value] : root.value.items()) {
    const JsonField field{value, root.file, "['" + printable(text) + "']"};
    AddedToken token{.id = static_cast<int32_t>(field.id(kMostId)), .text = text};
    token.special = special.contains(text);
    token.normalized = !token.special;
    with_id_.push_back(named_token(field, std::move(token)));
    with_id_.back().has_id = true;
  }
}

void FolderReader::read_tokenizer_config(const JsonField& root) {
  out_.has_config = true;
  if (root.flag("split_special_tokens", false)) root.at("split_special_tokens").wrong("false");
  read_special_tokens(root);
  read_eos_text(root);
  if (root.has("bos_token")) out_.bos_text = token_text(root.at("bos_token"));
  if (root.has("add_bos_token")) out_.add_bos = root.at("add_bos_token").flag();
  out_.add_eos = root.flag("add_eos_token", false);
  out_.add_prefix_space = root.flag("add_prefix_space", false);
  if (root.has("legacy")) out_.legacy = root.at("legacy").flag();
  if (root.has("tokenizer_class"))
    out_.is_llama = root.at("tokenizer_class").text().starts_with("LlamaTokenizer");
  has_decoder_ = root.has("added_tokens_decoder");
  if (has_decoder_) read_decoder(root.at("added_tokens_decoder"));
}

void FolderReader::read_eos_text(const JsonField& root) {
  if (out_.eos_text || !root.has("eos_token")) return;
  out_.eos_text = token_text(root.at("eos_token"));
  out_.eos_where = root.file + ": eos_token";
}

void FolderReader::read_eos_id(const JsonField& root) {
  if (out_.eos_text || out_.eos_id || !root.has("eos_token_id")) return;
  const JsonField eos = root.at("eos_token_id");
  if (!eos.value.is_array()) {
    out_.eos_id = eos.id_or_none(kMostId);
  } else {
    for (const JsonField& id : eos.items())
      if (!out_.eos_id) out_.eos_id = id.id_or_none(kMostId);
  }
  out_.eos_where = root.file + ": eos_token_id";
}

FolderSettings FolderReader::read() {
  with("tokenizer_config.json", [&](const JsonField& root) { read_tokenizer_config(root); });
  with("special_tokens_map.json", [&](const JsonField& root) {
    read_eos_text(root);
    if (!has_decoder_) read_special_tokens(root);
  });
  const std::vector<NamedToken> special = special_tokens();
  std::set<std::string> texts;
  for (const NamedToken& named : special) texts.insert(named.token.text);
  if (!has_decoder_)
    with("added_tokens.json", [&](const JsonField& root) { read_added_json(root, texts); });
  with("generation_config.json", [&](const JsonField& root) { read_eos_id(root); });
  with("config.json", [&](const JsonField& root) {
    read_eos_id(root);
    // transformers has no tokenizer class of its own for Mistral, whatever the settings name.
    if (root.has("model_type") && root.at("model_type").value == "mistral") out_.is_llama = false;
  });
  for (NamedToken& named : with_id_) named.token.special |= texts.contains(named.token.text);
  std::stable_sort(with_id_.begin(), with_id_.end(),
                   [](const auto& a, const auto& b) { return a.token.id < b.token.id; });
  out_.added = std::move(with_id_);
  out_.added.insert(out_.added.end(), special.begin(), special.end());
  return std::move(out_);
}

}  // namespace

std::string folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

AddedToken read_added_token(const JsonField& field) {
  AddedToken token{.text = field.at("content").text(),
                   .special = field.flag("special", false),
                   .lstrip = field.flag("lstrip", false),
                   .rstrip = field.flag("rstrip", false),
                   .single_word = field.flag("single_word", false)};
  token.normalized = field.flag("normalized", !token.special);
  return token;
}

FolderSettings read_folder_settings(const std::string& folder) {
  return FolderReader(folder).read();
}

std::optional<int32_t> choose_eos(const FolderSettings& settings, const TokenTable& tokens,
                                  const std::string& file) {
  if (settings.eos_text)
    if (const auto id = tokens.id_of(*settings.eos_text)) return id;
  if (settings.eos_id) {
    if (*settings.eos_id >= tokens.size())
      throw_error(ErrorKind::format, "{}: found {}, a token id below {} of {} expected",
                  settings.eos_where, *settings.eos_id, tokens.size(), file);
    return static_cast<int32_t>(*settings.eos_id);
  }
  for (const char* name : {"<|endoftext|>", "<|end_of_text|>", "</s>"})
    if (const auto id = tokens.id_of(name)) return id;
  return std::nullopt;
}

}  // namespace halftone
