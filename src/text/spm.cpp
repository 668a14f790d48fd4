#include "halftone/text/spm.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <queue>
#include <unordered_map>

#include "added_tokens.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "token_text.h"
#include "utf8.h"
#include "word_cache.h"

namespace halftone {
namespace {

constexpr int32_t kNoToken = -1;
constexpr size_t kMostWordBytes = size_t{1} << 30;

class Spm : public Tokenizer {
 public:
  explicit Spm(SpmDefinition definition);

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  std::string decode_text(std::span<const int32_t> ids) const override;
  int64_t vocab_size() const override { return static_cast<int64_t>(definition_.tokens.size()); }
  bool known(int32_t id) const override;
  bool special(int32_t id) const override;
  std::optional<int32_t> bos() const override { return definition_.bos; }
  std::optional<int32_t> eos() const override { return definition_.eos; }
  std::string hash() const override;

 private:
  void read_token(int32_t id);
  void encode_ordinary(std::string_view text, std::vector<int32_t>& out) const;
  std::vector<int32_t> merge_word(std::string_view word) const;
  void append_unmerged(std::string_view symbol, std::vector<int32_t>& out) const;

  SpmDefinition definition_;
  AddedTokens added_;
  std::unordered_map<std::string, int32_t, StringHash, std::equal_to<>> id_of_;  // can be merged
  std::array<int32_t, 256> byte_ids_;
  int32_t unknown_ = kNoToken;
  size_t longest_ = 0;        // bytes of a token
  bool spaces_begin_ = true;  // no token has a space behind anything else: words can be cut there
  std::vector<std::string> bytes_of_;  // by id, as decoded
  mutable WordCache cache_;
};

[[noreturn]] void wrong(const SpmDefinition& d, int32_t id, const std::string& found,
                        const char* expected) {
  throw_error(ErrorKind::format, "{}: token {} '{}': found {}, expected {}", d.source, id,
              printable(d.tokens[id]), found, expected);
}

Spm::Spm(SpmDefinition definition)
    : definition_(std::move(definition)),
      added_(added_tokens(definition_.tokens, definition_.types)) {
  const SpmDefinition& d = definition_;
  if (d.tokens.empty() || d.scores.size() != d.tokens.size() || d.types.size() != d.tokens.size())
    throw_error(ErrorKind::format,
                "{}: found {} tokens, {} scores and {} token types, as many of each expected",
                d.source, d.tokens.size(), d.scores.size(), d.types.size());
  byte_ids_.fill(kNoToken);
  for (size_t id = 0; id < d.tokens.size(); ++id) read_token(static_cast<int32_t>(id));
  const bool all_bytes = std::find(byte_ids_.begin(), byte_ids_.end(), kNoToken) == byte_ids_.end();
  if (!all_bytes && unknown_ == kNoToken)
    throw_error(ErrorKind::format,
                "{}: found neither an unknown token nor all 256 byte tokens, one of them expected",
                d.source);
}

void Spm::read_token(int32_t id) {
  const SpmDefinition& d = definition_;
  const std::string& token = d.tokens[id];
  if (!std::isfinite(d.scores[id])) wrong(d, id, fmt::format("score {}", d.scores[id]), "a number");
  bytes_of_.push_back(token);
  switch (d.types[id]) {
    case SpmType::normal:
    case SpmType::unused: {
      if (token.empty()) wrong(d, id, "an empty text", "at least one character");
      if (!id_of_.emplace(token, id).second)
        wrong(d, id, fmt::format("the text of token {}", id_of_.find(token)->second),
              "one of its own");
      longest_ = std::max(longest_, token.size());
      size_t at = 0;
      while (token.compare(at, kSpaceMark.size(), kSpaceMark) == 0) at += kSpaceMark.size();
      if (token.find(kSpaceMark, at) != token.npos) spaces_begin_ = false;
      bytes_of_.back() = marks_to_spaces(token);
      break;
    }
    case SpmType::byte: {
      const auto byte = byte_of_token(token);
      if (!byte || fmt::format("<0x{:02X}>", *byte) != token)
        wrong(d, id, "type byte", "<0x00> .. <0xFF>");
      if (byte_ids_[*byte] != kNoToken) wrong(d, id, "the byte a second time", "one token a byte");
      byte_ids_[*byte] = id;
      bytes_of_.back() = std::string(1, static_cast<char>(*byte));
      break;
    }
    case SpmType::unknown:
      unknown_ = unknown_ == kNoToken ? id : unknown_;
      break;
    case SpmType::control:
    case SpmType::user_defined:
      break;
    default:
      wrong(d, id, fmt::format("type {}", static_cast<int64_t>(d.types[id])), "a type in 1 .. 6");
  }
}

// A symbol that is no token: its bytes, or the unknown token, once for a run of them.
void Spm::append_unmerged(std::string_view symbol, std::vector<int32_t>& out) const {
  const bool bytes_known = std::all_of(symbol.begin(), symbol.end(), [&](char c) {
    return byte_ids_[static_cast<unsigned char>(c)] != kNoToken;
  });
  if (!bytes_known) {
    if (out.empty() || out.back() != unknown_) out.push_back(unknown_);
    return;
  }
  for (const char c : symbol) out.push_back(byte_ids_[static_cast<unsigned char>(c)]);
}

// Pairs wait in a heap by (score, position); a pair whose symbols have changed length is stale.
std::vector<int32_t> Spm::merge_word(std::string_view word) const {
  struct Symbol {
    uint32_t begin, size;  // size 0: merged away
    int previous, next;
    int32_t id;
  };
  struct Pair {
    double score;
    int left;
    uint32_t size;  // of both
    int32_t id;
    bool operator<(const Pair& other) const {
      return score != other.score ? score < other.score : left > other.left;
    }
  };
  if (word.size() > kMostWordBytes)
    throw_error(ErrorKind::format, "text: a word of {} bytes, at most {} expected", word.size(),
                kMostWordBytes);
  std::vector<Symbol> symbols;
  for (size_t at = 0; at < word.size(); at += symbols.back().size) {
    const uint32_t size = static_cast<uint32_t>(std::max<size_t>(utf8_length(word, at), 1));
    const auto it = id_of_.find(word.substr(at, size));
    const int i = static_cast<int>(symbols.size());
    symbols.push_back({static_cast<uint32_t>(at), size, i - 1, i + 1,
                       it == id_of_.end() ? kNoToken : it->second});
  }
  const int n = static_cast<int>(symbols.size());
  if (n) symbols[n - 1].next = -1;
  std::priority_queue<Pair> heap;
  const auto offer = [&](int left) {
    if (left < 0 || symbols[left].next < 0) return;
    const uint32_t size = symbols[left].size + symbols[symbols[left].next].size;
    if (size > longest_) return;
    const auto it = id_of_.find(word.substr(symbols[left].begin, size));
    if (it != id_of_.end()) heap.push({definition_.scores[it->second], left, size, it->second});
  };
  for (int i = 0; i + 1 < n; ++i) offer(i);
  while (!heap.empty()) {
    const Pair pair = heap.top();
    heap.pop();
    Symbol& left = symbols[pair.left];
    if (left.size == 0 || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    if (left.size + right.size != pair.size) continue;
    left.size = pair.size;
    left.id = pair.id;
    left.next = right.next;
    right.size = 0;
    if (left.next >= 0) symbols[left.next].previous = pair.left;
    offer(left.previous);
    offer(pair.left);
  }
  std::vector<int32_t> ids;
  for (int i = n ? 0 : -1; i >= 0; i = symbols[i].next) {
    if (symbols[i].id == kNoToken)
      append_unmerged(word.substr(symbols[i].begin, symbols[i].size), ids);
    else
      ids.push_back(symbols[i].id);
  }
  return ids;
}

void Spm::encode_ordinary(std::string_view text, std::vector<int32_t>& out) const {
  const std::string marked = std::string(definition_.add_space_prefix ? kSpaceMark : "") +
                             replace_spaces(text, kSpaceMark);
  const std::string_view all = marked;
  const auto append = [&](std::string_view word) {
    cache_.append(word, out, [&](std::string_view w) { return merge_word(w); });
  };
  if (!spaces_begin_) return append(all);
  for (size_t begin = 0; begin < all.size();) {  // a word: space marks, then all up to the next one
    size_t end = begin;
    while (all.compare(end, kSpaceMark.size(), kSpaceMark) == 0) end += kSpaceMark.size();
    end = std::min(all.find(kSpaceMark, end), all.size());
    append(all.substr(begin, end - begin));
    begin = end;
  }
}

std::vector<int32_t> Spm::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> out;
  if (options.add_special_tokens && definition_.bos) out.push_back(*definition_.bos);
  added_.split(
      text, options.parse_special, [&](std::string_view piece) { encode_ordinary(piece, out); },
      [&](int32_t id) { out.push_back(id); });
  if (options.add_special_tokens)
    out.insert(out.end(), definition_.behind.begin(), definition_.behind.end());
  return out;
}

std::string Spm::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (int32_t id : ids) {
    require(id >= 0, "decode: token {}", id);
    if (known(id)) out += bytes_of_[id];
  }
  return out;
}

std::string Spm::decode_text(std::span<const int32_t> ids) const {
  std::string out = decode(ids);
  if (definition_.add_space_prefix && out.starts_with(' ')) out.erase(0, 1);
  return out;
}

bool Spm::known(int32_t id) const {
  return id >= 0 && id < vocab_size() && definition_.types[id] != SpmType::unused;
}

bool Spm::special(int32_t id) const {
  return id >= 0 && id < vocab_size() &&
         (definition_.types[id] == SpmType::control || definition_.types[id] == SpmType::unknown);
}

std::string Spm::hash() const {
  Sha256 digest;
  const SpmDefinition& d = definition_;
  digest.update(fmt::format("BPE by scores, {} tokens {} {} {}", d.tokens.size(),
                            d.add_space_prefix, d.bos.value_or(-1), d.eos.value_or(-1)));
  for (size_t i = 0; i < d.tokens.size(); ++i)
    digest.update(fmt::format("{} {} {}:{}", d.scores[i], static_cast<int64_t>(d.types[i]),
                              d.tokens[i].size(), d.tokens[i]));
  for (const int32_t id : d.behind) digest.update(fmt::format("behind {}", id));
  return digest.hex();
}

}  // namespace

std::vector<AddedToken> added_tokens(const std::vector<std::string>& tokens,
                                     const std::vector<SpmType>& types) {
  std::vector<AddedToken> out;
  for (size_t id = 0; id < std::min(tokens.size(), types.size()); ++id) {
    const bool special = types[id] == SpmType::control || types[id] == SpmType::unknown;
    if (special || types[id] == SpmType::user_defined)
      out.push_back({.id = static_cast<int32_t>(id), .text = tokens[id], .special = special});
  }
  return out;
}

std::unique_ptr<Tokenizer> make_spm(SpmDefinition definition) {
  return std::make_unique<Spm>(std::move(definition));
}

}  // namespace halftone
