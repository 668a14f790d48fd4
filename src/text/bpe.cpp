#include "halftone/text/bpe.h"

#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "added_tokens.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "normal_form.h"
#include "word_cache.h"
#include "word_splitter.h"

namespace halftone {
namespace {

constexpr int32_t kNoToken = -1;
constexpr size_t kMostWordBytes = size_t{1} << 30;

struct Merge {
  int32_t rank;
  int32_t id;
};

class Bpe : public Tokenizer {
 public:
  explicit Bpe(BpeDefinition definition);

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  int64_t vocab_size() const override { return static_cast<int64_t>(definition_.tokens.size()); }
  bool special(int32_t id) const override { return special_.contains(id); }
  std::optional<int32_t> bos() const override { return definition_.bos; }
  std::optional<int32_t> eos() const override { return definition_.eos; }
  std::string hash() const override;

 private:
  void read_merges();
  void encode_normalized(std::string_view text, bool parse_special,
                         std::vector<int32_t>& out) const;
  std::vector<int32_t> word_ids(std::string_view word) const;
  std::vector<int32_t> merge_word(std::string_view word) const;

  BpeDefinition definition_;
  WordSplitter splitter_;
  AddedTokens added_, added_normalized_;  // looked for before and after the normalizer
  std::unordered_map<std::string, int32_t> id_of_;
  std::unordered_map<uint64_t, Merge> merges_;  // (left id, right id) -> rank and merged id
  std::vector<int32_t> byte_ids_;               // kNoToken: the byte is dropped
  std::vector<std::string> bytes_of_;           // by id, as decoded
  std::unordered_set<int32_t> special_;
  mutable WordCache cache_;
};

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// A token in the byte alphabet as bytes; letters outside it stand for themselves.
std::string letters_to_bytes(const std::string& token,
                             const std::unordered_map<std::string, char>& byte_of) {
  std::string out;
  for (size_t i = 0; i < token.size();) {
    size_t length = 1;
    while (i + length < token.size() &&
           (static_cast<unsigned char>(token[i + length]) & 0xc0) == 0x80)
      ++length;
    const std::string letter = token.substr(i, length);
    const auto it = byte_of.find(letter);
    if (it == byte_of.end())
      out += letter;
    else
      out += it->second;
    i += length;
  }
  return out;
}

std::vector<AddedToken> added_where(const BpeDefinition& definition, bool normalized) {
  std::vector<AddedToken> out;
  for (const AddedToken& token : definition.added)
    if (token.normalized == normalized) out.push_back(token);
  return out;
}

Bpe::Bpe(BpeDefinition definition)
    : definition_(std::move(definition)),
      splitter_(definition_.steps, definition_.source),
      added_(added_where(definition_, false)),
      added_normalized_(added_where(definition_, true)) {
  std::unordered_map<std::string, char> byte_of;
  for (int b = 0; b < 256; ++b) byte_of[byte_letters()[b]] = static_cast<char>(b);
  for (size_t i = 0; i < definition_.tokens.size(); ++i) {
    id_of_.emplace(definition_.tokens[i], static_cast<int32_t>(i));
    bytes_of_.push_back(letters_to_bytes(definition_.tokens[i], byte_of));
  }
  for (const AddedToken& token : definition_.added) {
    bytes_of_[token.id] = token.text;
    if (token.special) special_.insert(token.id);
  }
  for (int b = 0; b < 256; ++b) {
    const auto it = id_of_.find(byte_letters()[b]);
    byte_ids_.push_back(it == id_of_.end() ? kNoToken : it->second);
  }
  read_merges();
}

void Bpe::read_merges() {
  int32_t rank = 0;
  const auto id = [&](const std::string& token, const auto& pair) {
    const auto it = id_of_.find(token);
    if (it == id_of_.end())
      throw_error(ErrorKind::format,
                  "{}: merges[{}]: found '{} {}', but '{}' is no token of the vocabulary",
                  definition_.source, rank, printable(pair.first), printable(pair.second),
                  printable(token));
    return it->second;
  };
  for (const auto& pair : definition_.merges) {
    const int32_t left = id(pair.first, pair), right = id(pair.second, pair);
    merges_[pair_key(left, right)] = Merge{rank, id(pair.first + pair.second, pair)};
    ++rank;
  }
}

// Pairs wait in a heap by (rank, position); a symbol that was merged away makes its pairs stale.
std::vector<int32_t> Bpe::merge_word(std::string_view word) const {
  struct Symbol {
    int32_t id;
    int previous, next;
  };
  struct Pair {
    int32_t rank;
    int left;
    int32_t left_id, right_id, merged;
    bool operator>(const Pair& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  if (word.size() > kMostWordBytes)
    throw_error(ErrorKind::format, "text: a word of {} bytes, at most {} expected", word.size(),
                kMostWordBytes);
  std::vector<Symbol> symbols;
  for (unsigned char byte : word)
    if (byte_ids_[byte] != kNoToken) {
      const int at = static_cast<int>(symbols.size());
      symbols.push_back({byte_ids_[byte], at - 1, at + 1});
    }
  const int n = static_cast<int>(symbols.size());
  if (n) symbols[n - 1].next = -1;
  std::priority_queue<Pair, std::vector<Pair>, std::greater<>> heap;
  const auto offer = [&](int left) {
    if (left < 0 || symbols[left].next < 0) return;
    const int32_t a = symbols[left].id, b = symbols[symbols[left].next].id;
    if (const auto it = merges_.find(pair_key(a, b)); it != merges_.end())
      heap.push({it->second.rank, left, a, b, it->second.id});
  };
  for (int i = 0; i + 1 < n; ++i) offer(i);
  while (!heap.empty()) {
    const Pair pair = heap.top();
    heap.pop();
    Symbol& left = symbols[pair.left];
    if (left.id != pair.left_id || left.next < 0 || symbols[left.next].id != pair.right_id)
      continue;
    Symbol& right = symbols[left.next];
    right.id = kNoToken;
    left.id = pair.merged;
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = pair.left;
    offer(left.previous);
    offer(pair.left);
  }
  std::vector<int32_t> ids;
  for (int i = n ? 0 : -1; i >= 0; i = symbols[i].next) ids.push_back(symbols[i].id);
  return ids;
}

std::vector<int32_t> Bpe::word_ids(std::string_view word) const {
  if (definition_.ignore_merges) {
    std::string letters;
    for (unsigned char c : word) letters += byte_letters()[c];
    if (const auto it = id_of_.find(letters); it != id_of_.end()) return {it->second};
  }
  return merge_word(word);
}

void Bpe::encode_normalized(std::string_view text, bool parse_special,
                            std::vector<int32_t>& out) const {
  added_normalized_.split(
      text, parse_special,
      [&](std::string_view piece) {
        splitter_.split(piece, [&](std::string_view word) {
          cache_.append(word, out, [&](std::string_view w) { return word_ids(w); });
        });
      },
      [&](int32_t id) { out.push_back(id); });
}

std::vector<int32_t> Bpe::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> out;
  if (options.add_special_tokens && definition_.bos) out.push_back(*definition_.bos);
  added_.split(
      text, options.parse_special,
      [&](std::string_view piece) {
        if (!definition_.nfc)
          encode_normalized(piece, options.parse_special, out);
        else
          encode_normalized(to_nfc(piece), options.parse_special, out);
      },
      [&](int32_t id) { out.push_back(id); });
  return out;
}

std::string Bpe::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (int32_t id : ids) {
    require(id >= 0 && id < vocab_size(), "decode: token {}, vocabulary {}", id, vocab_size());
    out += bytes_of_[id];
  }
  return out;
}

std::string Bpe::hash() const {
  Sha256 digest;
  const auto add = [&](std::string_view s) {
    digest.update(fmt::format("{}:", s.size()));
    digest.update(s);
  };
  const BpeDefinition& d = definition_;
  add(fmt::format("byte-level BPE, {} tokens", d.tokens.size()));
  for (const std::string& token : d.tokens) add(token);
  add(fmt::format("{} merges", d.merges.size()));
  for (const auto& [left, right] : d.merges) {
    add(left);
    add(right);
  }
  for (const AddedToken& t : d.added)
    add(fmt::format("{} {}{}{}{}{} {}", t.id, int{t.special}, int{t.lstrip}, int{t.rstrip},
                    int{t.single_word}, int{t.normalized}, t.text));
  for (const SplitStep& step : d.steps)
    add(fmt::format("{} {}", int{step.prefix_space}, step.pattern));
  add(fmt::format("{} {} {} {}", d.nfc, d.ignore_merges, d.bos.value_or(-1), d.eos.value_or(-1)));
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
      const int code = itself ? b : next++;
      if (code < 0x80)
        out.push_back(std::string(1, static_cast<char>(code)));
      else
        out.push_back(
            {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))});
    }
    return out;
  }();
  return letters;
}

std::unique_ptr<Tokenizer> make_bpe(BpeDefinition definition) {
  return std::make_unique<Bpe>(std::move(definition));
}

}  // namespace halftone
