#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <unordered_set>

#include "halftone/base/error.h"
#include "halftone/io/strict_json.h"
#include "halftone/text/tokenizer_files.h"
#include "pattern.h"
#include "token_text.h"
#include "utf8.h"

namespace halftone {
namespace {

using Json = nlohmann::json;
using Kind = NormalizeStep::Kind;

constexpr size_t kMostTokenBytes = 1024;

std::string dump(const Json& json, const std::string& source) {
  try {
    return json.dump() + "\n";
  } catch (const Json::exception& error) {
    throw_error(ErrorKind::format, "{}: cannot be written as JSON: {}", source,
                json_error_text(error));
  }
}

// `parts` under `key` in a Sequence, one alone, null.
Json sequence(const char* key, const Json& parts) {
  if (parts.empty()) return nullptr;
  if (parts.size() == 1) return parts[0];
  return {{"type", "Sequence"}, {key, parts}};
}

Json normalizer_json(const NormalizeStep& step) {
  switch (step.kind) {
    case Kind::nfc:
      return {{"type", "NFC"}};
    case Kind::nfd:
      return {{"type", "NFD"}};
    case Kind::nfkc:
      return {{"type", "NFKC"}};
    case Kind::nfkd:
      return {{"type", "NFKD"}};
    case Kind::lowercase:
      return {{"type", "Lowercase"}};
    case Kind::prepend:
      return {{"type", "Prepend"}, {"prepend", step.content}};
    case Kind::replace:
      return {{"type", "Replace"},
              {"pattern", {{step.literal ? "String" : "Regex", step.pattern}}},
              {"content", step.content}};
  }
  return nullptr;
}

Json metaspace_json(const SplitStep& step) {
  const char* scheme = step.scheme == MarkScheme::first    ? "first"
                       : step.scheme == MarkScheme::always ? "always"
                                                           : "never";
  const bool splits = !step.pattern.empty();
  require(!splits || (step.pattern == quoted_pattern(step.mark) &&
                      step.behavior == SplitBehavior::merged_with_next && !step.invert),
          "tokenizer_json: a step with a mark is cut by another pattern, '{}'", step.pattern);
  return {{"type", "Metaspace"},
          {"replacement", step.mark},
          {"prepend_scheme", scheme},
          {"split", splits}};
}

Json split_json(const SplitStep& step) {
  constexpr const char* kBehaviors[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious",
                                        "MergedWithNext"};
  return {{"type", "Split"},
          {"pattern", {{"Regex", step.pattern}}},
          {"behavior", kBehaviors[static_cast<int>(step.behavior)]},
          {"invert", step.invert}};
}

// ByteLevel says a space in front and GPT-2's pattern itself.
Json pretokenizer_json(const BpeDefinition& d) {
  std::vector<SplitStep> steps = d.steps;
  Json parts = Json::array(), byte_level;
  if (d.byte_level) {
    const std::string gpt2 = pretokenizer_steps("gpt2", d.source)[0].pattern;
    const bool prefix = !steps.empty() && steps.back().mark == " ";
    const bool regex = !steps.empty() && steps.back() == SplitStep{.pattern = gpt2,
                                                                   .mark = steps.back().mark,
                                                                   .scheme = steps.back().scheme};
    if (prefix || regex) steps.pop_back();
    byte_level = {{"type", "ByteLevel"},
                  {"add_prefix_space", prefix},
                  {"trim_offsets", true},
                  {"use_regex", regex}};
  }
  for (const SplitStep& step : steps)
    parts.push_back(step.mark.empty() ? split_json(step) : metaspace_json(step));
  if (d.byte_level) parts.push_back(byte_level);
  return sequence("pretokenizers", parts);
}

Json decoder_json(const BpeDefinition& d) {
  if (d.byte_level)
    return {{"type", "ByteLevel"},
            {"add_prefix_space", true},
            {"trim_offsets", true},
            {"use_regex", true}};
  Json parts = Json::array();
  for (const NormalizeStep& step : d.decoding.replace) parts.push_back(normalizer_json(step));
  if (d.decoding.bytes) parts.push_back({{"type", "ByteFallback"}});
  parts.push_back({{"type", "Fuse"}});
  if (d.decoding.strip_most > 0)
    parts.push_back({{"type", "Strip"},
                     {"content", d.decoding.strip},
                     {"start", d.decoding.strip_most},
                     {"stop", 0}});
  return sequence("decoders", parts);
}

std::string text_of(const BpeDefinition& d, int32_t id) {
  for (const AddedToken& token : d.added)
    if (token.id == id) return token.text;
  return d.tokens[static_cast<size_t>(id)];
}

Json post_processor_json(const BpeDefinition& d) {
  if (!d.bos && d.behind.empty()) return nullptr;
  Json single = Json::array(), pair, tokens = Json::object();
  const auto put = [&](int32_t id) {
    const std::string text = text_of(d, id);
    single.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
    tokens[text] = {{"id", text}, {"ids", {id}}, {"tokens", {text}}};
  };
  if (d.bos) put(*d.bos);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  for (const int32_t id : d.behind) put(id);
  pair = single;
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", tokens}};
}

// Tokens of the vocabulary by id, those that no text leads to left out: unused ones that are no
// character and in no merge, and repeated ones.
std::vector<std::string> reached_tokens(const BpeDefinition& d) {
  std::vector<std::string> tokens = d.tokens;
  std::unordered_set<std::string> merged, seen;
  if (!d.unused.empty())
    for (const auto& [left, right] : d.merges)
      for (const std::string& token : {left, right, left + right}) merged.insert(token);
  for (const int32_t id : d.unused)
    if (std::string& token = tokens[id];
        !token.empty() && !merged.contains(token) && character_length(token, 0) != token.size())
      token.clear();
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (utf8_valid_end(tokens[id], 0) != tokens[id].size())
      throw_error(ErrorKind::format,
                  "{}: token {} is '{}', which is not UTF-8 and cannot be written as JSON",
                  d.source, id, printable(tokens[id]));
    if (!tokens[id].empty() && !seen.insert(tokens[id]).second) tokens[id].clear();
  }
  return tokens;
}

// Added tokens that the vocabulary has not are numbered behind it by those who read it, whatever
// their ids say. Where that gives other ids, they are written among the vocabulary, too.
Json vocabulary_json(const BpeDefinition& d, const std::vector<AddedToken>& added) {
  Json vocabulary = Json::object();
  const std::vector<std::string> tokens = reached_tokens(d);
  for (size_t id = 0; id < tokens.size(); ++id)
    if (!tokens[id].empty()) vocabulary[tokens[id]] = id;
  Json beside = Json::object();
  bool in_order = true;
  for (const AddedToken& token : added) {
    if (vocabulary.contains(token.text)) continue;
    in_order &= static_cast<size_t>(token.id) == vocabulary.size() + beside.size();
    beside[token.text] = token.id;
  }
  if (!in_order) vocabulary.update(beside);
  return vocabulary;
}

Json added_json(const std::vector<AddedToken>& added) {
  Json out = Json::array();
  for (const AddedToken& token : added)
    out.push_back({{"id", token.id},
                   {"content", token.text},
                   {"single_word", token.single_word},
                   {"lstrip", token.lstrip},
                   {"rstrip", token.rstrip},
                   {"normalized", token.normalized},
                   {"special", token.special}});
  return out;
}

Json model_json(const BpeDefinition& d, const std::vector<AddedToken>& added) {
  Json merges = Json::array();
  for (const auto& [left, right] : d.merges) merges.push_back({left, right});
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", d.unknown.empty() ? Json(nullptr) : Json(d.unknown)},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", d.fuse_unknown},
          {"byte_fallback", d.byte_fallback},
          {"ignore_merges", d.ignore_merges},
          {"vocab", vocabulary_json(d, added)},
          {"merges", merges}};
}

struct RankedMerge {
  double score;
  size_t id, cut;  // of the token, of its left part
  bool operator<(const RankedMerge& other) const {
    return std::tuple(-score, id, cut) < std::tuple(-other.score, other.id, other.cut);
  }
};

// Every pair of tokens that makes a token, best first.
std::vector<std::pair<std::string, std::string>> ranked_merges(const SpmDefinition& d) {
  std::unordered_set<std::string_view> mergeable;
  const auto merges = [&](size_t id) {
    return d.types[id] == SpmType::normal || d.types[id] == SpmType::unused;
  };
  for (size_t id = 0; id < d.tokens.size(); ++id)
    if (merges(id)) mergeable.insert(d.tokens[id]);
  std::vector<RankedMerge> ranked;
  for (size_t id = 0; id < d.tokens.size(); ++id) {
    const std::string_view token = d.tokens[id];
    if (!merges(id)) continue;
    if (token.size() > kMostTokenBytes)
      throw_error(ErrorKind::format, "{}: token {} has {} bytes, at most {} expected", d.source, id,
                  token.size(), kMostTokenBytes);
    for (size_t cut = character_length(token, 0); cut < token.size();
         cut += character_length(token, cut))
      if (mergeable.contains(token.substr(0, cut)) && mergeable.contains(token.substr(cut)))
        ranked.push_back({d.scores[id], id, cut});
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::pair<std::string, std::string>> out;
  for (const RankedMerge& merge : ranked)
    out.emplace_back(d.tokens[merge.id].substr(0, merge.cut), d.tokens[merge.id].substr(merge.cut));
  return out;
}

BpeDefinition by_ranks(const SpmDefinition& d) {
  const std::string mark(kSpaceMark);
  const NormalizeStep prepend{.kind = Kind::prepend, .content = mark};
  const NormalizeStep to_mark{
      .kind = Kind::replace, .pattern = " ", .literal = true, .content = mark};
  const NormalizeStep to_space{
      .kind = Kind::replace, .pattern = mark, .literal = true, .content = " "};
  BpeDefinition out{.source = d.source,
                    .tokens = d.tokens,
                    .merges = ranked_merges(d),
                    .added = added_tokens(d.tokens, d.types),
                    .normalizer = {to_mark},
                    .byte_level = false,
                    .fuse_unknown = true,
                    .decoding = {.replace = {to_space}, .bytes = true},
                    .bos = d.bos,
                    .behind = d.behind,
                    .eos = d.eos};
  if (d.add_space_prefix) {
    out.normalizer.insert(out.normalizer.begin(), prepend);
    out.decoding.strip = " ";
    out.decoding.strip_most = 1;
  }
  for (size_t id = 0; id < d.types.size(); ++id) {
    if (d.types[id] == SpmType::unused) out.unused.push_back(static_cast<int32_t>(id));
    if (d.types[id] == SpmType::byte) out.byte_fallback = true;
    if (d.types[id] == SpmType::unknown && out.unknown.empty()) out.unknown = d.tokens[id];
  }
  return out;
}

}  // namespace

std::string tokenizer_json(const BpeDefinition& d) {
  std::vector<AddedToken> added = d.added;
  std::stable_sort(added.begin(), added.end(),
                   [](const auto& a, const auto& b) { return a.id < b.id; });
  Json normalizers = Json::array();
  for (const NormalizeStep& step : d.normalizer) normalizers.push_back(normalizer_json(step));
  return dump({{"version", "1.0"},
               {"truncation", nullptr},
               {"padding", nullptr},
               {"added_tokens", added_json(added)},
               {"normalizer", sequence("normalizers", normalizers)},
               {"pre_tokenizer", pretokenizer_json(d)},
               {"post_processor", post_processor_json(d)},
               {"decoder", decoder_json(d)},
               {"model", model_json(d, added)}},
              d.source);
}

std::string tokenizer_json(const SpmDefinition& d) {
  require(d.scores.size() == d.tokens.size() && d.types.size() == d.tokens.size(),
          "tokenizer_json: {} tokens, {} scores, {} types", d.tokens.size(), d.scores.size(),
          d.types.size());
  return tokenizer_json(by_ranks(d));
}

std::string tokenizer_config_json(const TokenizerSettings& settings) {
  Json json{{"tokenizer_class", "PreTrainedTokenizerFast"},
            {"add_bos_token", settings.add_bos},
            {"add_eos_token", settings.add_eos},
            {"clean_up_tokenization_spaces", false}};
  const auto put = [&](const char* key, const std::optional<std::string>& text) {
    if (text) json[key] = *text;
  };
  put("bos_token", settings.bos);
  put("eos_token", settings.eos);
  put("pad_token", settings.pad);
  put("unk_token", settings.unk);
  Json templates = Json::array();
  for (const auto& [name, text] : settings.chat_templates)
    templates.push_back({{"name", name}, {"template", text}});
  if (templates.size() == 1 && templates[0]["name"] == "default")
    json["chat_template"] = templates[0]["template"];
  else if (!templates.empty())
    json["chat_template"] = templates;
  return dump(json, "tokenizer_config.json");
}

}  // namespace halftone
