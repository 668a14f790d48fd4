// tokenizer.json of Hugging Face's tokenizers, what it says of BPE; and vocab.json with merges.txt,
// in which GPT-2 and OPT came before there was one.
#include <algorithm>
#include <filesystem>
#include <sstream>

#include "halftone/io/strict_json.h"
#include "halftone/io/text_file.h"
#include "halftone/text/bpe.h"
#include "loaders.h"
#include "pipeline_json.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMostBytes = uint64_t{1} << 28;

void read_vocabulary(const JsonField& vocab, int64_t most_id, BpeDefinition& out) {
  if (!vocab.value.is_object() || vocab.value.empty()) vocab.wrong("an object of token to id");
  for (const auto& [token, id] : vocab.value.items()) {
    const JsonField field{id, vocab.file, vocab.name + "['" + printable(token) + "']"};
    const size_t at = static_cast<size_t>(field.id(most_id));
    if (at >= out.tokens.size()) out.tokens.resize(at + 1);
    if (!out.tokens[at].empty())
      field.wrong(
          fmt::format("an id of its own; {} is '{}' already", at, printable(out.tokens[at])));
    out.tokens[at] = token;
  }
}

// A text of two tokens with a space between.
void read_merge(const JsonField& merge, BpeDefinition& out) {
  const std::string pair = merge.text();
  if (pair.starts_with("#version")) return;
  const size_t space = pair.find(' ');
  if (space == pair.npos || space == 0 || space + 1 == pair.size() ||
      pair.find(' ', space + 1) != pair.npos)
    merge.wrong("two tokens with a space between");
  out.merges.emplace_back(pair.substr(0, space), pair.substr(space + 1));
}

// Such texts, or two tokens in a list.
void read_merges(const JsonField& model, BpeDefinition& out) {
  for (const JsonField& merge : model.at("merges").items()) {
    if (merge.value.is_array() && merge.value.size() == 2) {
      const std::vector<JsonField> pair = merge.items();
      std::string left = pair[0].text();
      out.merges.emplace_back(std::move(left), pair[1].text());
      continue;
    }
    if (!merge.value.is_string()) merge.wrong("two tokens");
    read_merge(merge, out);
  }
}

void read_model(const JsonField& model, int64_t most_id, BpeDefinition& out) {
  if (model.at("type").text() != "BPE") model.at("type").wrong("BPE");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (model.has(key) && !model.at(key).text().empty()) model.at(key).wrong("null");
  if (model.has("dropout") && model.at("dropout").value != 0) model.at("dropout").wrong("null");
  if (model.has("unk_token")) out.unknown = model.at("unk_token").text();
  out.fuse_unknown = model.flag("fuse_unk", false);
  out.byte_fallback = model.flag("byte_fallback", false);
  out.ignore_merges = model.flag("ignore_merges", false);
  read_vocabulary(model.at("vocab"), most_id, out);
  read_merges(model, out);
}

bool names_type(const JsonField& field, const std::string& type) {
  if (field.value.is_array()) {
    for (const JsonField& part : field.items())
      if (names_type(part, type)) return true;
    return false;
  }
  if (field.has("decoders")) return names_type(field.at("decoders"), type);
  return field.has("type") && field.at("type").value == type;
}

std::vector<NamedToken> read_added_tokens(const JsonField& root, int64_t most_id) {
  std::vector<NamedToken> out;
  if (!root.has("added_tokens")) return out;
  for (const JsonField& field : root.at("added_tokens").items()) {
    NamedToken& named = out.emplace_back();
    named.token = read_added_token(field);
    if (named.token.text.empty()) field.at("content").wrong("at least one character");
    named.token.id = static_cast<int32_t>(field.at("id").id(most_id));
    named.has_id = named.replaces = true;
    named.file = root.file;
    named.field = field.name;
  }
  return out;
}

int64_t most_id_of(const JsonField& root) {
  int64_t count = kMostHoles;
  if (root.has("model") && root.at("model").has("vocab"))
    count += static_cast<int64_t>(root.at("model").at("vocab").value.size());
  if (root.has("added_tokens")) count += static_cast<int64_t>(root.at("added_tokens").value.size());
  return std::min(count, kMostId);
}

void read_merges_file(const std::string& path, BpeDefinition& out) {
  std::istringstream lines(read_text_file(path, kMostBytes));
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    const Json text = line;
    read_merge({text, path, fmt::format("line {}", ++number)}, out);
  }
}

// What GPT2Tokenizer puts in front of a text where the settings say so.
std::optional<int32_t> gpt2_bos(const FolderSettings& settings, const TokenTable& tokens,
                                const std::string& path) {
  if (!settings.add_bos.value_or(false)) return {};
  const std::string text = settings.bos_text.value_or("<|endoftext|>");
  if (const auto id = tokens.id_of(text)) return id;
  throw_error(ErrorKind::format,
              "{}: add_bos_token is true beside it, but there is no token '{}', the bos_token",
              path, printable(text));
}

}  // namespace

BpeDefinition read_vocab_json(const std::string& path) {
  const std::filesystem::path folder(folder_of(path));
  const FolderSettings settings = read_folder_settings(folder.string());
  const Json json = read_json_file(path, kMostBytes);
  BpeDefinition out{.source = path};
  read_vocabulary({json, path, ""},
                  std::min(static_cast<int64_t>(json.size()) + kMostHoles, kMostId), out);
  read_merges_file((folder / "merges.txt").string(), out);
  TokenTable tokens(out.tokens, {}, path);
  for (const NamedToken& token : settings.added) tokens.add(token);
  out.added = tokens.added();
  out.eos = choose_eos(settings, tokens, path);
  out.steps = pretokenizer_steps("gpt2", path);
  if (settings.add_prefix_space) {
    out.steps[0].mark = " ";
    out.steps[0].scheme = MarkScheme::always;
  }
  out.bos = gpt2_bos(settings, tokens, path);
  if (settings.add_eos && out.eos) out.behind = {*out.eos};
  return out;
}

bool is_unigram_json(const std::string& path) {
  const Json json = read_json_file(path, kMostBytes);
  return JsonField{json, path, ""}.at("model").at("type").text() == "Unigram";
}

BpeDefinition read_tokenizer_json(const std::string& path) {
  const FolderSettings settings = read_folder_settings(folder_of(path));
  const Json json = read_json_file(path, kMostBytes);
  const JsonField root{json, path, ""};
  BpeDefinition out{.source = path, .byte_level = false};
  const int64_t most_id = most_id_of(root);
  read_model(root.at("model"), most_id, out);
  TokenTable tokens(out.tokens, {}, path);
  for (const NamedToken& token : read_added_tokens(root, most_id)) tokens.add(token);
  for (const NamedToken& token : settings.added) tokens.add(token);
  out.added = tokens.added();
  out.eos = choose_eos(settings, tokens, path);
  if (root.has("normalizer")) read_normalizer(root.at("normalizer"), out);
  if (root.has("pre_tokenizer")) read_pretokenizer(root.at("pre_tokenizer"), out);
  if (root.has("decoder") && !out.byte_level) {
    if (names_type(root.at("decoder"), "ByteLevel"))
      throw_error(ErrorKind::format,
                  "{}: pre_tokenizer: found no ByteLevel step, one at its end expected, as the "
                  "decoder has one",
                  path);
    read_decoder(root.at("decoder"), out);
  }
  if (root.has("post_processor"))
    read_post_processor(
        root.at("post_processor"), [&](std::string_view text) { return tokens.id_of(text); }, out);
  return out;
}

}  // namespace halftone
