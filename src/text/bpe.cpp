#include "halftone/text/bpe.h"

#include <unordered_map>
#include <unordered_set>

#include "added_tokens.h"
#include "bpe_model.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "normalizer.h"
#include "token_text.h"
#include "utf8.h"
#include "word_splitter.h"

namespace halftone {
namespace {

class Bpe : public Tokenizer {
 public:
  explicit Bpe(BpeDefinition definition);

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  std::string decode_text(std::span<const int32_t> ids) const override;
  int64_t vocab_size() const override { return static_cast<int64_t>(texts_.size()); }
  bool known(int32_t id) const override;
  bool special(int32_t id) const override { return special_.contains(id); }
  std::optional<int32_t> bos() const override { return definition_.bos; }
  std::optional<int32_t> eos() const override { return definition_.eos; }
  std::string hash() const override;

 private:
  std::vector<AddedToken> added_where(bool normalized) const;
  void encode_piece(std::string_view piece, bool first, bool parse_special,
                    std::vector<int32_t>& out) const;

  BpeDefinition definition_;
  Normalizer normalizer_;
  WordSplitter splitter_;
  BpeModel model_;
  AddedTokens added_, added_normalized_;  // looked for before and after the normalizer
  std::vector<std::string> texts_;        // by id; empty: no token
  std::vector<std::string> bytes_of_;     // by id, as decoded
  std::unordered_set<int32_t> special_;
};

// A token in the byte alphabet as bytes; letters outside it stand for themselves.
std::string letters_to_bytes(const std::string& token) {
  static const auto byte_of = [] {
    std::unordered_map<std::string, char> out;
    for (int b = 0; b < 256; ++b) out[byte_letters()[b]] = static_cast<char>(b);
    return out;
  }();
  std::string out;
  for (size_t at = 0, length = 0; at < token.size(); at += length) {
    length = character_length(token, at);
    const std::string letter = token.substr(at, length);
    const auto it = byte_of.find(letter);
    if (it == byte_of.end())
      out += letter;
    else
      out += it->second;
  }
  return out;
}

std::vector<std::string> all_texts(const BpeDefinition& d) {
  std::vector<std::string> texts = d.tokens;
  for (const AddedToken& token : d.added) {
    const size_t id = static_cast<size_t>(token.id);
    if (id >= texts.size()) texts.resize(id + 1);
    texts[id] = token.text;
  }
  for (const int32_t id : d.unused) texts[id].clear();
  return texts;
}

std::vector<std::string> decoded(const BpeDefinition& d, std::vector<std::string> texts) {
  const Normalizer replace(d.decoding.replace, d.source);
  std::unordered_set<int32_t> added;
  for (const AddedToken& token : d.added) added.insert(token.id);
  for (size_t id = 0; id < texts.size(); ++id) {
    std::string& text = texts[id];
    const auto byte = d.decoding.bytes ? byte_of_token(text) : std::nullopt;
    if (d.byte_level && !added.contains(static_cast<int32_t>(id)))
      text = letters_to_bytes(text);
    else if (byte)
      text = std::string(1, static_cast<char>(*byte));
    else if (!d.byte_level)
      text = replace.apply(text);
  }
  return texts;
}

// With `normalized`, texts are what the normalizer makes of them.
std::vector<AddedToken> Bpe::added_where(bool normalized) const {
  std::vector<AddedToken> out;
  for (AddedToken token : definition_.added) {
    if (token.normalized != normalized) continue;
    if (normalized) token.text = normalizer_.apply(token.text);
    out.push_back(std::move(token));
  }
  return out;
}

Bpe::Bpe(BpeDefinition definition)
    : definition_(std::move(definition)),
      normalizer_(definition_.normalizer, definition_.source),
      splitter_(definition_.steps, definition_.source),
      model_(definition_),
      added_(added_where(false)),
      added_normalized_(added_where(true)),
      texts_(all_texts(definition_)),
      bytes_of_(decoded(definition_, texts_)) {
  for (const AddedToken& token : definition_.added)
    if (token.special) special_.insert(token.id);
}

bool Bpe::known(int32_t id) const {
  return id >= 0 && id < vocab_size() && !texts_[id].empty();
}

void Bpe::encode_piece(std::string_view piece, bool first, bool parse_special,
                       std::vector<int32_t>& out) const {
  std::string normalized;
  bool starts = true;
  if (!normalizer_.empty()) piece = normalized = normalizer_.apply(piece, &starts);
  added_normalized_.split(
      piece, parse_special,
      [&](std::string_view part) {
        splitter_.split(part, first && starts && part.data() == piece.data(),
                        [&](std::string_view word) { model_.append(word, out); });
      },
      [&](int32_t id) { out.push_back(id); });
}

std::vector<int32_t> Bpe::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> out;
  if (options.add_special_tokens && definition_.bos) out.push_back(*definition_.bos);
  added_.split(
      text, options.parse_special,
      [&](std::string_view piece) {
        encode_piece(piece, piece.data() == text.data(), options.parse_special, out);
      },
      [&](int32_t id) { out.push_back(id); });
  if (options.add_special_tokens)
    out.insert(out.end(), definition_.behind.begin(), definition_.behind.end());
  return out;
}

std::string Bpe::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (int32_t id : ids) {
    require(id >= 0, "decode: token {}", id);
    if (id < vocab_size()) out += bytes_of_[id];
  }
  return out;
}

std::string Bpe::decode_text(std::span<const int32_t> ids) const {
  std::string out = decode(ids);
  const std::string& strip = definition_.decoding.strip;
  if (!strip.empty())
    for (int64_t i = 0; i < definition_.decoding.strip_most && out.starts_with(strip); ++i)
      out.erase(0, strip.size());
  return out;
}

// What a definition says beyond byte-level BPE over normal form C.
std::string kind_text(const BpeDefinition& d) {
  std::string out;
  for (const NormalizeStep& step : d.normalizer)
    if (step != NormalizeStep{})
      out += fmt::format("{} {} {}:{} {}:{} ", static_cast<int>(step.kind), step.literal,
                         step.pattern.size(), step.pattern, step.content.size(), step.content);
  for (const SplitStep& step : d.steps) {
    const bool prefix = step.mark == " ";
    SplitStep plain{.pattern = step.pattern, .mark = step.mark};
    plain.scheme = prefix ? MarkScheme::always : MarkScheme::never;
    if (step != plain || (!prefix && !step.mark.empty()))
      out += fmt::format("{} {} {} {} ", step.mark, static_cast<int>(step.scheme),
                         static_cast<int>(step.behavior), step.invert);
  }
  if (!d.byte_level || !d.unknown.empty())
    out += fmt::format("{} {} {} {} ", d.byte_level, d.byte_fallback, d.fuse_unknown, d.unknown);
  for (const int32_t id : d.behind) out += fmt::format("behind {} ", id);
  return out;
}

std::string Bpe::hash() const {
  Sha256 digest;
  const auto add = [&](std::string_view s) {
    digest.update(fmt::format("{}:", s.size()));
    digest.update(s);
  };
  const BpeDefinition& d = definition_;
  add(fmt::format("byte-level BPE, {} tokens", texts_.size()));
  for (const std::string& text : texts_) add(text);
  add(fmt::format("{} merges", d.merges.size()));
  for (const auto& [left, right] : d.merges) {
    add(left);
    add(right);
  }
  for (const AddedToken& t : d.added)
    add(fmt::format("{} {}{}{}{}{} {}", t.id, int{t.special}, int{t.lstrip}, int{t.rstrip},
                    int{t.single_word}, int{t.normalized}, t.text));
  for (const SplitStep& step : d.steps)
    add(fmt::format("{} {}", int{step.mark == " "}, step.pattern));
  if (const std::string kind = kind_text(d); kind != kind_text({})) add(kind);
  add(fmt::format("{} {} {} {}", !d.normalizer.empty(), d.ignore_merges, d.bos.value_or(-1),
                  d.eos.value_or(-1)));
  return digest.hex();
}

}  // namespace

const std::vector<std::string>& byte_letters() {
  static const std::vector<std::string> letters = [] {
    std::vector<std::string> out;
    int next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool itself =
          (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
      append_utf8(static_cast<uint32_t>(itself ? b : next++), out.emplace_back());
    }
    return out;
  }();
  return letters;
}

std::unique_ptr<Tokenizer> make_bpe(BpeDefinition definition) {
  return std::make_unique<Bpe>(std::move(definition));
}

}  // namespace halftone
