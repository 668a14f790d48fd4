// What llama.cpp calls a tokenizer's model, pre-tokenizer, tokens and their types.
#include "gguf_vocabulary.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "pattern.h"
#include "token_text.h"

namespace halftone {
namespace {

using Kind = NormalizeStep::Kind;

// llama.cpp's name of GPT-2's comes first: "default" is another one there.
constexpr const char* kPretokenizers[] = {"gpt-2", "smollm", "llama-bpe", "qwen2"};

[[noreturn]] void refuse(const std::string& source, const std::string& what) {
  throw_error(ErrorKind::recipe, "{}: llama.cpp has no such tokenizer: {}", source, what);
}

std::vector<NormalizeStep> normalizer_of(const std::string& pre) {
  if (pre == "qwen2") return {{.kind = Kind::nfc}};
  return {};
}

std::string pretokenizer_of(const BpeDefinition& d) {
  for (const char* name : kPretokenizers) {
    if (d.steps != pretokenizer_steps(name, d.source)) continue;
    if (d.normalizer != normalizer_of(name))
      refuse(d.source, fmt::format("its normalizer is not that of the pre-tokenizer {}", name));
    if (d.ignore_merges != (std::string_view(name) == "llama-bpe"))
      refuse(d.source,
             fmt::format("ignore_merges is {} with the pre-tokenizer {}", d.ignore_merges, name));
    return name;
  }
  refuse(d.source, "its pre-tokenizer is none of gpt-2, smollm, llama-bpe and qwen2");
}

// Tokens and types that both kinds have: added ones as they are found, holes as llama.cpp's
// converters fill them.
void put_tokens(const BpeDefinition& d, GgufVocabulary& out) {
  out.tokens = d.tokens;
  for (const AddedToken& token : d.added)
    if (static_cast<size_t>(token.id) >= out.tokens.size())
      out.tokens.resize(static_cast<size_t>(token.id) + 1);
  out.types.assign(out.tokens.size(), SpmType::normal);
  for (const int32_t id : d.unused) out.types[static_cast<size_t>(id)] = SpmType::unused;
  int64_t trimming = 0;
  for (const AddedToken& token : d.added) {
    const size_t id = static_cast<size_t>(token.id);
    out.tokens[id] = token.text;
    out.types[id] = token.special ? SpmType::control : SpmType::user_defined;
    trimming += token.lstrip || token.rstrip || token.single_word ||
                (token.normalized && !token.special && d.byte_level && !d.normalizer.empty());
  }
  for (size_t id = 0; id < out.tokens.size(); ++id)
    if (out.tokens[id].empty()) out.types[id] = SpmType::unused;
  if (trimming > 0)
    out.notes.push_back(
        fmt::format("{} added tokens take white space, are words of their own or are normalised, "
                    "which a GGUF does not say",
                    trimming));
}

// How text gets its marks: whether one is put in front of it.
struct Marks {
  bool prefix = false;
  bool odd = false;  // the mark is put in front in another way than llama.cpp does
};

Marks marks_of(const BpeDefinition& d) {
  const std::string mark(kSpaceMark);
  const NormalizeStep prepend{.kind = Kind::prepend, .content = mark},
      replace{.kind = Kind::replace, .pattern = " ", .literal = true, .content = mark};
  // Cuts at spaces, of which there is none when they have become marks.
  const SplitStep idle{.pattern = quoted_pattern(" "),
                       .behavior = SplitBehavior::merged_with_previous};
  const bool steps_idle = d.steps.empty() || (d.steps.size() == 1 && d.steps[0] == idle);
  if (steps_idle && d.normalizer == std::vector{replace}) return {};
  if (steps_idle && d.normalizer == std::vector{prepend, replace}) return {.prefix = true};
  const bool metaspace = d.normalizer.empty() && d.steps.size() == 1 && d.steps[0].mark == mark;
  if (!metaspace) refuse(d.source, "its normalizer and pre-tokenizer are not sentencepiece's");
  if (!d.steps[0].pattern.empty())
    for (const std::string& token : d.tokens)
      if (token.find(mark, 1) != token.npos)
        refuse(d.source,
               fmt::format("it cuts at each space, but has the token '{}'", printable(token)));
  const bool prefix = d.steps[0].scheme != MarkScheme::never;
  return {.prefix = prefix, .odd = prefix};
}

void put_bytes(const BpeDefinition& d, GgufVocabulary& out) {
  int64_t bytes = 0;
  for (size_t id = 0; id < d.tokens.size(); ++id)
    if (const auto byte = byte_of_token(d.tokens[id]);
        byte && fmt::format("<0x{:02X}>", *byte) == d.tokens[id]) {
      out.types[id] = SpmType::byte;
      ++bytes;
    }
  if (!d.byte_fallback || bytes != 256)
    refuse(d.source, fmt::format("of the 256 byte tokens of sentencepiece it uses {}",
                                 d.byte_fallback ? bytes : 0));
}

GgufVocabulary by_scores(const BpeDefinition& d) {
  GgufVocabulary out{.model = "llama", .pre = "default"};
  if (d.ignore_merges) refuse(d.source, "ignore_merges without bytes as letters");
  put_tokens(d, out);
  const Marks marks = marks_of(d);
  put_bytes(d, out);
  out.add_space_prefix = marks.prefix;
  if (marks.odd)
    out.notes.push_back(
        "llama.cpp puts a space in front of a text that begins with one, and behind each special "
        "token, too");
  out.scores = scores_of_merges(d);
  out.scores.resize(out.tokens.size(), 0);
  for (size_t id = 0; id < out.tokens.size(); ++id)
    if (!d.unknown.empty() && out.tokens[id] == d.unknown) {
      out.unknown = static_cast<int32_t>(id);
      out.types[id] = SpmType::unknown;
    }
  return out;
}

GgufVocabulary by_ranks(const BpeDefinition& d) {
  GgufVocabulary out{.model = "gpt2", .pre = pretokenizer_of(d)};
  put_tokens(d, out);
  for (const auto& [left, right] : d.merges) {
    if (left.find(' ') != left.npos || right.find(' ') != right.npos)
      refuse(d.source, fmt::format("the merge of '{}' and '{}' holds a space", printable(left),
                                   printable(right)));
    out.merges.push_back(left + " " + right);
  }
  return out;
}

}  // namespace

GgufVocabulary gguf_vocabulary(const BpeDefinition& d) {
  return d.byte_level ? by_ranks(d) : by_scores(d);
}

GgufVocabulary gguf_vocabulary(const SpmDefinition& d) {
  GgufVocabulary out{.model = "llama", .pre = "default", .tokens = d.tokens, .types = d.types};
  for (const double score : d.scores) out.scores.push_back(static_cast<float>(score));
  out.add_space_prefix = d.add_space_prefix;
  const auto unknown = std::ranges::find(d.types, SpmType::unknown);
  if (unknown != d.types.end()) out.unknown = static_cast<int32_t>(unknown - d.types.begin());
  return out;
}

}  // namespace halftone
