// tokenizer.json of Hugging Face's tokenizers: the byte-level BPE part of what it can say.
#include <algorithm>

#include "halftone/io/strict_json.h"
#include "halftone/text/bpe.h"
#include "json_field.h"
#include "loaders.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMostBytes = uint64_t{1} << 28;

// Ids are those of a list without gaps, so none is as large as the number of tokens.
void put_token(std::vector<std::optional<std::string>>& tokens, const JsonField& id,
               const std::string& text) {
  const int64_t most = static_cast<int64_t>(tokens.size()) - 1;
  const int64_t at = id.id(std::max<int64_t>(most, 0));
  if (tokens[at] && *tokens[at] != text)
    id.wrong(fmt::format("an id of its own; {} is '{}' already", at, printable(*tokens[at])));
  tokens[at] = text;
}

void read_vocabulary(const JsonField& root, BpeDefinition& out) {
  const JsonField vocab = root.at("model").at("vocab");
  if (!vocab.value.is_object() || vocab.value.empty()) vocab.wrong("an object of token to id");
  const std::vector<JsonField> added =
      root.has("added_tokens") ? root.at("added_tokens").items() : std::vector<JsonField>{};
  size_t count = vocab.value.size();  // of different tokens
  for (const JsonField& token : added) count += !vocab.value.contains(token.at("content").text());
  std::vector<std::optional<std::string>> tokens(count);
  for (const auto& [token, id] : vocab.value.items())
    put_token(tokens, {id, vocab.file, "model.vocab['" + printable(token) + "']"}, token);
  for (const JsonField& field : added) {
    AddedToken token{.id = 0,
                     .text = field.at("content").text(),
                     .special = field.flag("special", false),
                     .lstrip = field.flag("lstrip", false),
                     .rstrip = field.flag("rstrip", false),
                     .single_word = field.flag("single_word", false),
                     .normalized = field.flag("normalized", false)};
    if (token.text.empty()) field.at("content").wrong("at least one character");
    put_token(tokens, field.at("id"), token.text);
    token.id = static_cast<int32_t>(field.at("id").id(static_cast<int64_t>(count) - 1));
    out.added.push_back(std::move(token));
  }
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (!tokens[id])
      throw_error(ErrorKind::format, "{}: no token has id {}, all of 0 .. {} expected", root.file,
                  id, tokens.size() - 1);
    out.tokens.push_back(std::move(*tokens[id]));
  }
}

void read_merges(const JsonField& model, BpeDefinition& out) {
  for (const JsonField& merge : model.at("merges").items()) {
    if (merge.value.is_array() && merge.value.size() == 2) {
      const std::vector<JsonField> pair = merge.items();
      std::string left = pair[0].text(), right = pair[1].text();
      out.merges.emplace_back(std::move(left), std::move(right));
      continue;
    }
    if (!merge.value.is_string()) merge.wrong("two tokens");
    const std::string pair = merge.text();
    const size_t space = pair.find(' ');
    if (space == pair.npos || space == 0 || space + 1 == pair.size() ||
        pair.find(' ', space + 1) != pair.npos)
      merge.wrong("two tokens with a space between");
    out.merges.emplace_back(pair.substr(0, space), pair.substr(space + 1));
  }
}

// What the model may say beside its tokens, where it is not what is done here.
void check_model(const JsonField& model) {
  if (model.at("type").text() != "BPE") model.at("type").wrong("BPE");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (model.has(key) && !model.at(key).text().empty()) model.at(key).wrong("null");
  if (model.has("dropout") && model.at("dropout").value != 0) model.at("dropout").wrong("null");
  if (model.flag("byte_fallback", false))
    model.at("byte_fallback").wrong("false: bytes have letters");
}

std::string quoted(const std::string& literal) {
  std::string out;
  for (const char c : literal) {
    if (std::string_view("\\^$.[|()?*+{}#-]").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

// Returns whether a ByteLevel step was among those read.
bool read_pretokenizer(const JsonField& field, BpeDefinition& out) {
  const std::string type = field.at("type").text();
  bool byte_level = false;
  if (type == "Sequence") {
    for (const JsonField& part : field.at("pretokenizers").items()) {
      if (byte_level) part.wrong("nothing behind ByteLevel");
      byte_level = read_pretokenizer(part, out);
    }
  } else if (type == "ByteLevel") {
    SplitStep step;
    step.prefix_space = field.flag("add_prefix_space", true);
    if (field.flag("use_regex", true))
      step.pattern = pretokenizer_steps("gpt2", field.file)[0].pattern;
    if (step != SplitStep{}) out.steps.push_back(step);
    byte_level = true;
  } else if (type == "Digits") {
    out.steps.push_back({field.flag("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)"});
  } else if (type == "Split") {
    if (field.at("behavior").text() != "Isolated") field.at("behavior").wrong("Isolated");
    if (field.flag("invert", false)) field.at("invert").wrong("false");
    const JsonField pattern = field.at("pattern");
    out.steps.push_back(
        {pattern.has("String") ? quoted(pattern.at("String").text()) : pattern.at("Regex").text()});
    if (out.steps.back().pattern.empty()) pattern.wrong("a pattern that is not empty");
  } else {
    field.at("type").wrong("ByteLevel, Digits, Split or Sequence");
  }
  return byte_level;
}

void read_normalizer(const JsonField& field, BpeDefinition& out) {
  const std::string type = field.at("type").text();
  if (type == "Sequence") {
    for (const JsonField& part : field.at("normalizers").items()) read_normalizer(part, out);
    return;
  }
  if (type != "NFC") field.at("type").wrong("NFC or no normalizer");
  out.nfc = true;
}

// The token that a TemplateProcessing puts in front of a single text, if any.
std::optional<std::string> front_token(const JsonField& processor) {
  const std::string type = processor.at("type").text();
  if (type == "Sequence") {
    for (const JsonField& part : processor.at("processors").items())
      if (auto token = front_token(part)) return token;
    return std::nullopt;
  }
  if (type == "ByteLevel") return std::nullopt;
  if (type != "TemplateProcessing")
    processor.at("type").wrong("TemplateProcessing, ByteLevel or Sequence");
  std::optional<std::string> front;
  bool text_seen = false;
  for (const JsonField& piece : processor.at("single").items()) {
    if (piece.has("Sequence"))
      text_seen = true;
    else if (text_seen || front)
      piece.wrong("at most one special token, in front of the text");
    else
      front = piece.at("SpecialToken").at("id").text();
  }
  return front;
}

}  // namespace

bool is_sentencepiece_json(const std::string& path) {
  const Json json = read_json_file(path, kMostBytes);
  const JsonField model = JsonField{json, path, ""}.at("model");
  return model.at("type").text() == "Unigram" || model.flag("byte_fallback", false);
}

BpeDefinition read_tokenizer_json(const std::string& path) {
  const Json json = read_json_file(path, kMostBytes);
  const JsonField root{json, path, ""};
  BpeDefinition out;
  out.source = path;
  check_model(root.at("model"));
  read_vocabulary(root, out);
  read_merges(root.at("model"), out);
  out.ignore_merges = root.at("model").flag("ignore_merges", false);
  if (root.has("normalizer")) read_normalizer(root.at("normalizer"), out);
  if (!read_pretokenizer(root.at("pre_tokenizer"), out))
    root.at("pre_tokenizer").wrong("a ByteLevel step at its end");
  if (root.has("post_processor"))
    if (const auto front = front_token(root.at("post_processor"))) {
      const auto it = std::find(out.tokens.begin(), out.tokens.end(), *front);
      if (it == out.tokens.end()) root.at("post_processor").wrong("a template of tokens");
      out.bos = static_cast<int32_t>(it - out.tokens.begin());
    }
  return out;
}

}  // namespace halftone
