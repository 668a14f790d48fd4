#include "pipeline_json.h"

#include <algorithm>

#include "loaders.h"
#include "pattern.h"
#include "utf8.h"

namespace halftone {
namespace {

using Kind = NormalizeStep::Kind;

constexpr std::pair<const char*, Kind> kForms[] = {{"NFC", Kind::nfc},
                                                   {"NFD", Kind::nfd},
                                                   {"NFKC", Kind::nfkc},
                                                   {"NFKD", Kind::nfkd},
                                                   {"Lowercase", Kind::lowercase}};

constexpr std::pair<const char*, SplitBehavior> kBehaviors[] = {
    {"Isolated", SplitBehavior::isolated},
    {"Removed", SplitBehavior::removed},
    {"Contiguous", SplitBehavior::contiguous},
    {"MergedWithPrevious", SplitBehavior::merged_with_previous},
    {"MergedWithNext", SplitBehavior::merged_with_next}};

constexpr std::pair<const char*, MarkScheme> kSchemes[] = {
    {"first", MarkScheme::first}, {"always", MarkScheme::always}, {"never", MarkScheme::never}};

template <class T, size_t N>
const T* find_name(const std::pair<const char*, T> (&names)[N], const std::string& name) {
  for (const auto& [known, value] : names)
    if (known == name) return &value;
  return nullptr;
}

template <class T, size_t N>
T named(const std::pair<const char*, T> (&names)[N], const JsonField& field) {
  const T* value = find_name(names, field.text());
  std::string known;
  for (const auto& entry : names) known += (known.empty() ? "" : ", ") + std::string(entry.first);
  if (!value) field.wrong("one of " + known);
  return *value;
}

// Text, or a regular expression.
NormalizeStep read_replace(const JsonField& field) {
  NormalizeStep step{.kind = Kind::replace, .content = field.at("content").text()};
  const JsonField pattern = field.at("pattern");
  step.literal = pattern.has("String");
  step.pattern = pattern.at(step.literal ? "String" : "Regex").text();
  if (step.pattern.empty()) pattern.wrong("a pattern that is not empty");
  return step;
}

std::string read_character(const JsonField& field) {
  const std::string text = field.text();
  if (text.empty() || character_length(text, 0) != text.size()) field.wrong("one character");
  return text;
}

// Old files say add_prefix_space: false where new ones say prepend_scheme: "never".
MarkScheme read_scheme(const JsonField& field) {
  const MarkScheme scheme = field.has("prepend_scheme")
                                ? named(kSchemes, field.at("prepend_scheme"))
                                : MarkScheme::always;
  if (field.flag("add_prefix_space", true)) return scheme;
  if (field.has("prepend_scheme") && scheme != MarkScheme::never)
    field.at("add_prefix_space").wrong("true, as prepend_scheme has it");
  return MarkScheme::never;
}

SplitStep read_split(const JsonField& field) {
  const JsonField pattern = field.at("pattern");
  SplitStep step{.pattern = pattern.has("String") ? quoted_pattern(pattern.at("String").text())
                                                  : pattern.at("Regex").text(),
                 .behavior = named(kBehaviors, field.at("behavior")),
                 .invert = field.flag("invert", false)};
  if (step.pattern.empty()) pattern.wrong("a pattern that is not empty");
  return step;
}

SplitStep read_metaspace(const JsonField& field) {
  SplitStep step{.mark = read_character(field.at("replacement")), .scheme = read_scheme(field)};
  if (field.flag("split", true)) {
    step.pattern = quoted_pattern(step.mark);
    step.behavior = SplitBehavior::merged_with_next;
  }
  return step;
}

SplitStep read_byte_level(const JsonField& field) {
  SplitStep step;
  if (field.flag("add_prefix_space", true)) {
    step.mark = " ";
    step.scheme = MarkScheme::always;
  }
  if (field.flag("use_regex", true))
    step.pattern = pretokenizer_steps("gpt2", field.file)[0].pattern;
  return step;
}

// `fused`: the tokens are joined to one, of whose start a Strip takes.
void read_decoder_step(const JsonField& field, Decoding& decoding, bool& fused) {
  const std::string type = field.at("type").text();
  if (type == "Sequence") {
    for (const JsonField& part : field.at("decoders").items())
      read_decoder_step(part, decoding, fused);
  } else if (type == "Replace") {
    decoding.replace.push_back(read_replace(field));
  } else if (type == "ByteFallback") {
    decoding.bytes = true;
  } else if (type == "Fuse") {
    fused = true;
  } else if (type == "Strip") {
    if (!fused) field.wrong("Fuse before it");
    decoding.strip = read_character(field.at("content"));
    decoding.strip_most = field.at("start").whole(0, kMostId);
    if (field.at("stop").whole(0, kMostId) != 0) field.at("stop").wrong("0");
  } else if (type == "Metaspace") {
    decoding.replace.push_back({.kind = Kind::replace,
                                .pattern = read_character(field.at("replacement")),
                                .literal = true,
                                .content = " "});
    decoding.strip = " ";
    decoding.strip_most = read_scheme(field) == MarkScheme::never ? 0 : 1;
  } else {
    field.at("type").wrong("Replace, ByteFallback, Fuse, Strip, Metaspace or Sequence");
  }
}

using Ids = std::vector<int32_t>;
using IdOf = std::function<std::optional<int32_t>(std::string_view)>;

// The id of a special token of a template, whose own list says the same where it has one.
int32_t template_id(const JsonField& processor, const JsonField& piece, const IdOf& id_of) {
  const std::string name = piece.at("SpecialToken").at("id").text();
  const auto id = id_of(name);
  if (!id) piece.wrong("a token");
  if (!processor.has("special_tokens") || !processor.at("special_tokens").has(name)) return *id;
  const JsonField ids = processor.at("special_tokens").at(name).at("ids");
  if (ids.value != nlohmann::json{*id}) ids.wrong(fmt::format("[{}]", *id));
  return *id;
}

void read_template(const JsonField& processor, const IdOf& id_of, Ids& front, Ids& behind) {
  bool text_seen = false;
  for (const JsonField& piece : processor.at("single").items()) {
    if (piece.has("Sequence")) {
      if (text_seen || piece.at("Sequence").at("id").text() != "A") piece.wrong("one sequence, A");
      text_seen = true;
      continue;
    }
    (text_seen ? behind : front).push_back(template_id(processor, piece, id_of));
  }
  if (!text_seen) processor.at("single").wrong("a sequence among its pieces");
}

// ["</s>", 2]
int32_t read_pair(const JsonField& field, const IdOf& id_of) {
  const auto pair = field.items();
  if (pair.size() != 2) field.wrong("a token and its id");
  const int32_t id = static_cast<int32_t>(pair[1].id(kMostId));
  if (id_of(pair[0].text()) != id) field.wrong("a token and its id");
  return id;
}

void read_processor(const JsonField& processor, const IdOf& id_of, Ids& front, Ids& behind) {
  const std::string type = processor.at("type").text();
  Ids before, after;
  if (type == "Sequence") {
    for (const JsonField& part : processor.at("processors").items())
      read_processor(part, id_of, before, after);
  } else if (type == "TemplateProcessing") {
    read_template(processor, id_of, before, after);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    before = {read_pair(processor.at("cls"), id_of)};
    after = {read_pair(processor.at("sep"), id_of)};
  } else if (type != "ByteLevel") {
    processor.at("type").wrong("TemplateProcessing, ByteLevel or Sequence");
  }
  front.insert(front.begin(), before.begin(), before.end());
  behind.insert(behind.end(), after.begin(), after.end());
}

}  // namespace

void read_normalizer(const JsonField& field, BpeDefinition& out) {
  const std::string type = field.at("type").text();
  if (type == "Sequence")
    for (const JsonField& part : field.at("normalizers").items()) read_normalizer(part, out);
  else if (const Kind* form = find_name(kForms, type))
    out.normalizer.push_back({.kind = *form});
  else if (type == "Prepend")
    out.normalizer.push_back({.kind = Kind::prepend, .content = field.at("prepend").text()});
  else if (type == "Replace")
    out.normalizer.push_back(read_replace(field));
  else
    field.at("type").wrong("NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace or Sequence");
}

void read_pretokenizer(const JsonField& field, BpeDefinition& out) {
  if (out.byte_level) field.wrong("nothing behind ByteLevel");
  const std::string type = field.at("type").text();
  if (type == "Sequence") {
    for (const JsonField& part : field.at("pretokenizers").items()) read_pretokenizer(part, out);
  } else if (type == "ByteLevel") {
    if (const SplitStep step = read_byte_level(field); step != SplitStep{})
      out.steps.push_back(step);
    out.byte_level = true;
  } else if (type == "Digits") {
    out.steps.push_back({field.flag("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)"});
  } else if (type == "Split") {
    out.steps.push_back(read_split(field));
  } else if (type == "Metaspace") {
    out.steps.push_back(read_metaspace(field));
  } else {
    field.at("type").wrong("ByteLevel, Digits, Split, Metaspace or Sequence");
  }
}

void read_decoder(const JsonField& field, BpeDefinition& out) {
  bool fused = false;
  read_decoder_step(field, out.decoding, fused);
}

void read_post_processor(const JsonField& field, const IdOf& id_of, BpeDefinition& out) {
  Ids front;
  read_processor(field, id_of, front, out.behind);
  if (front.size() > 1) field.wrong("at most one token in front of the text");
  if (!front.empty()) out.bos = front[0];
}

}  // namespace halftone
