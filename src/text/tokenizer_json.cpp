// tokenizer.json of Hugging Face's tokenizers: the byte-level BPE part of what it can say.
#include <nlohmann/json.hpp>

#include "halftone/base/error.h"
#include "halftone/io/strict_json.h"
#include "halftone/text/bpe.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMostBytes = uint64_t{1} << 28;
constexpr int64_t kMostTokens = 1 << 24;

// A value in the file with its place, so that every complaint names it.
struct Field {
  const Json& value;
  std::string file, name;

  [[noreturn]] void wrong(const std::string& expected) const {
    throw_error(ErrorKind::format, "{}: {}: found {}, expected {}", file, name, printable(value.dump(-1, ' ', false, Json::error_handler_t::replace)), expected);
  }
  Field at(const std::string& key) const {
    if (!value.is_object()) wrong("an object");
    const auto it = value.find(key);
    if (it == value.end()) throw_error(ErrorKind::format, "{}: {}{} is missing", file, name.empty() ? "" : name + ".", key);
    return {*it, file, name.empty() ? key : name + "." + key};
  }
  bool has(const std::string& key) const { return value.is_object() && value.contains(key) && !value.at(key).is_null(); }
  std::string text() const {
    if (!value.is_string()) wrong("a string");
    return value.get<std::string>();
  }
  bool flag() const {
    if (!value.is_boolean()) wrong("true or false");
    return value.get<bool>();
  }
  int64_t id() const {
    if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() >= kMostTokens) wrong(fmt::format("a token id in 0 .. {}", kMostTokens - 1));
    return value.get<int64_t>();
  }
  std::vector<Field> items() const {
    if (!value.is_array()) wrong("an array");
    std::vector<Field> out;
    for (size_t i = 0; i < value.size(); ++i) out.push_back({value[i], file, fmt::format("{}[{}]", name, i)});
    return out;
  }
};

void put_token(std::vector<std::string>& tokens, int64_t id, const std::string& text, const Field& where) {
  if (id >= static_cast<int64_t>(tokens.size())) tokens.resize(id + 1);
  if (!tokens[id].empty() && tokens[id] != text) where.wrong(fmt::format("an id of its own; {} is '{}' already", id, printable(tokens[id])));
  tokens[id] = text;
}

void read_vocabulary(const Field& model, BpeDefinition& out) {
  const Field vocab = model.at("vocab");
  if (!vocab.value.is_object() || vocab.value.empty()) vocab.wrong("an object of token to id");
  for (const auto& [token, id] : vocab.value.items()) {
    const Field field{id, vocab.file, "model.vocab['" + printable(token) + "']"};
    put_token(out.tokens, field.id(), token, field);
  }
}

void read_merges(const Field& model, BpeDefinition& out) {
  for (const Field& merge : model.at("merges").items()) {
    if (merge.value.is_array() && merge.value.size() == 2) {
      out.merges.emplace_back(merge.items()[0].text(), merge.items()[1].text());
      continue;
    }
    const std::string pair = merge.text();
    const size_t space = pair.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == pair.size() || pair.find(' ', space + 1) != std::string::npos) merge.wrong("two tokens with a space between");
    out.merges.emplace_back(pair.substr(0, space), pair.substr(space + 1));
  }
}

void read_pretokenizer(const Field& field, BpeDefinition& out) {
  const std::string type = field.at("type").text();
  if (type == "Sequence") {
    for (const Field& part : field.at("pretokenizers").items()) read_pretokenizer(part, out);
  } else if (type == "ByteLevel") {
    out.add_prefix_space = field.has("add_prefix_space") && field.at("add_prefix_space").flag();
    if (!field.has("use_regex") || field.at("use_regex").flag()) out.patterns.push_back(pretokenizer_patterns("gpt2", field.file)[0]);
  } else if (type == "Digits") {
    out.patterns.push_back(field.has("individual_digits") && field.at("individual_digits").flag() ? "\\p{N}" : "\\p{N}+");
  } else if (type == "Split") {
    const std::string behavior = field.at("behavior").text();
    if (behavior != "Isolated") field.at("behavior").wrong("Isolated");
    if (field.has("invert") && field.at("invert").flag()) field.at("invert").wrong("false");
    out.patterns.push_back(field.at("pattern").at("Regex").text());
  } else {
    field.at("type").wrong("ByteLevel, Digits, Split or Sequence");
  }
}

// The token that a TemplateProcessing puts in front of a single text, if any.
std::optional<std::string> front_token(const Field& processor) {
  const std::string type = processor.at("type").text();
  if (type == "Sequence") {
    for (const Field& part : processor.at("processors").items())
      if (auto token = front_token(part)) return token;
    return std::nullopt;
  }
  if (type == "ByteLevel") return std::nullopt;
  if (type != "TemplateProcessing") processor.at("type").wrong("TemplateProcessing, ByteLevel or Sequence");
  std::optional<std::string> front;
  bool text_seen = false;
  for (const Field& piece : processor.at("single").items()) {
    if (piece.has("Sequence")) text_seen = true;
    else if (text_seen || front) piece.wrong("at most one special token, in front of the text");
    else front = piece.at("SpecialToken").at("id").text();
  }
  return front;
}

}  // namespace

BpeDefinition read_tokenizer_json(const std::string& path) {
  const Json json = read_json_file(path, kMostBytes);
  const Field root{json, path, ""};
  BpeDefinition out;
  out.source = path;
  const Field model = root.at("model");
  if (model.at("type").text() != "BPE") model.at("type").wrong("BPE");
  read_vocabulary(model, out);
  read_merges(model, out);
  out.ignore_merges = model.has("ignore_merges") && model.at("ignore_merges").flag();
  if (root.has("added_tokens"))
    for (const Field& token : root.at("added_tokens").items()) {
      const int64_t id = token.at("id").id();
      put_token(out.tokens, id, token.at("content").text(), token);
      out.added.push_back({static_cast<int32_t>(id), token.at("content").text(), token.has("special") && token.at("special").flag()});
    }
  for (size_t id = 0; id < out.tokens.size(); ++id)
    if (out.tokens[id].empty()) throw_error(ErrorKind::format, "{}: no token has id {}, all of 0 .. {} expected", path, id, out.tokens.size() - 1);
  if (root.has("normalizer")) root.at("normalizer").wrong("null: normalisation is not supported");
  if (!root.has("pre_tokenizer")) throw_error(ErrorKind::format, "{}: pre_tokenizer is missing, a byte-level one expected", path);
  read_pretokenizer(root.at("pre_tokenizer"), out);
  const auto id_of = [&](const std::string& text) -> std::optional<int32_t> {
    for (const BpeSpecial& token : out.added)
      if (token.text == text) return token.id;
    return std::nullopt;
  };
  if (root.has("post_processor"))
    if (const auto front = front_token(root.at("post_processor"))) {
      out.bos = id_of(*front);
      if (!out.bos) root.at("post_processor").wrong("a template of added tokens");
    }
  for (const char* name : {"<|endoftext|>", "<|end_of_text|>", "</s>", "<|im_end|>"})
    if (!out.eos) out.eos = id_of(name);
  return out;
}

}  // namespace halftone
