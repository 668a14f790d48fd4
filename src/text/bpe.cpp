#include "halftone/text/bpe.h"

#include "added_tokens.h"
#include "bpe_model.h"
#include "bpe_tables.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "normalizer.h"
#include "ready_bpe.h"
#include "utf8.h"
#include "word_splitter.h"

namespace halftone {
namespace {

class Bpe : public Tokenizer {
 public:
  // Of the definition its settings; tokens and merges are those of the tables.
  Bpe(BpeDefinition definition, const BpeTables& tables);

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  std::string decode_text(std::span<const int32_t> ids) const override;
  int64_t vocab_size() const override { return tables_.vocab_size(); }
  bool known(int32_t id) const override { return has(id) && tables_.known(id); }
  bool special(int32_t id) const override { return has(id) && tables_.special(id); }
  std::optional<int32_t> bos() const override { return definition_.bos; }
  std::optional<int32_t> eos() const override { return definition_.eos; }
  std::string hash() const override;

 private:
  bool has(int32_t id) const { return id >= 0 && id < vocab_size(); }
  std::vector<AddedToken> added_where(bool normalized) const;
  void encode_piece(std::string_view piece, bool first, bool parse_special,
                    std::vector<int32_t>& out) const;

  BpeDefinition definition_;
  BpeTables tables_;
  Normalizer normalizer_;
  WordSplitter splitter_;
  BpeModel model_;
  AddedTokens added_, added_normalized_;  // looked for before and after the normalizer
};

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

Bpe::Bpe(BpeDefinition definition, const BpeTables& tables)
    : definition_(std::move(definition)),
      tables_(tables),
      normalizer_(definition_.normalizer, definition_.source),
      splitter_(definition_.steps, definition_.source),
      model_(definition_, tables_),
      added_(added_where(false)),
      added_normalized_(added_where(true)) {}

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
    if (id < vocab_size()) out += tables_.decoded(id);
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
  if (!d.byte_level || d.byte_fallback || !d.unknown.empty())
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
  const std::vector<std::string_view> tokens = tables_.tokens(), texts = texts_by_id(tokens, d);
  add(fmt::format("byte-level BPE, {} tokens", texts.size()));
  for (const std::string_view text : texts) add(text);
  add(fmt::format("{} merges", tables_.pairs()));
  for (int64_t rank = 0; rank < tables_.pairs(); ++rank) {
    const BpeTables::Pair pair = tables_.pair(rank);
    add(tokens[pair.left]);
    add(tokens[pair.right]);
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
  const BpeTables tables = BpeTables::of(definition);
  definition.tokens = {};
  definition.merges = {};
  return std::make_unique<Bpe>(std::move(definition), tables);
}

std::unique_ptr<Tokenizer> make_bpe(BpeDefinition settings, const BpeTables& tables) {
  return std::make_unique<Bpe>(std::move(settings), tables);
}

}  // namespace halftone
