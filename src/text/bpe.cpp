#include "halftone/text/bpe.h"

#include <algorithm>
#include <mutex>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "word_splitter.h"

namespace halftone {
namespace {

constexpr size_t kCachedWords = 200000;
constexpr size_t kCachedLength = 64;
constexpr int32_t kNoToken = -1;

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
  void encode_ordinary(std::string_view text, std::vector<int32_t>& out) const;
  void encode_word(std::string_view word, std::vector<int32_t>& out) const;
  std::vector<int32_t> merge_word(std::string_view word) const;

  BpeDefinition definition_;
  WordSplitter splitter_;
  std::unordered_map<std::string, int32_t> id_of_;
  std::unordered_map<uint64_t, Merge> merges_;     // (left id, right id) -> rank and merged id
  std::vector<int32_t> byte_ids_;                  // kNoToken: the byte is dropped, as Hugging Face does
  std::vector<std::string> bytes_of_;              // by id, as decoded
  std::vector<BpeSpecial> added_;                  // longest first
  std::unordered_set<int32_t> special_;
  mutable std::mutex cache_mutex_;
  mutable std::unordered_map<std::string, std::vector<int32_t>> cache_;
};

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// A token in the byte alphabet as bytes; letters outside it stand for themselves.
std::string letters_to_bytes(const std::string& token, const std::unordered_map<std::string, char>& byte_of) {
  std::string out;
  for (size_t i = 0; i < token.size();) {
    size_t length = 1;
    while (i + length < token.size() && (static_cast<unsigned char>(token[i + length]) & 0xc0) == 0x80) ++length;
    const std::string letter = token.substr(i, length);
    const auto it = byte_of.find(letter);
    if (it == byte_of.end()) out += letter;
    else out += it->second;
    i += length;
  }
  return out;
}

Bpe::Bpe(BpeDefinition definition) : definition_(std::move(definition)), splitter_(definition_.patterns, definition_.source) {
  const std::string& source = definition_.source;
  std::unordered_map<std::string, char> byte_of;
  for (int b = 0; b < 256; ++b) byte_of[byte_letters()[b]] = static_cast<char>(b);
  for (size_t i = 0; i < definition_.tokens.size(); ++i) {
    id_of_.emplace(definition_.tokens[i], static_cast<int32_t>(i));
    bytes_of_.push_back(letters_to_bytes(definition_.tokens[i], byte_of));
  }
  for (const BpeSpecial& token : definition_.added) {
    bytes_of_[token.id] = token.text;
    if (token.special) special_.insert(token.id);
    if (!token.text.empty()) added_.push_back(token);
  }
  std::stable_sort(added_.begin(), added_.end(), [](const auto& a, const auto& b) { return a.text.size() > b.text.size(); });
  for (int b = 0; b < 256; ++b) {
    const auto it = id_of_.find(byte_letters()[b]);
    byte_ids_.push_back(it == id_of_.end() ? kNoToken : it->second);
  }
  int32_t rank = 0;
  for (const auto& [left, right] : definition_.merges) {
    const auto l = id_of_.find(left), r = id_of_.find(right), m = id_of_.find(left + right);
    if (l == id_of_.end() || r == id_of_.end() || m == id_of_.end())
      throw_error(ErrorKind::format, "{}: merges[{}] '{} {}': a token that is not in the vocabulary", source, rank, printable(left), printable(right));
    merges_.emplace(pair_key(l->second, r->second), Merge{rank, m->second});
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
    bool operator>(const Pair& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
  };
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
    if (const auto it = merges_.find(pair_key(a, b)); it != merges_.end()) heap.push({it->second.rank, left, a, b, it->second.id});
  };
  for (int i = 0; i + 1 < n; ++i) offer(i);
  while (!heap.empty()) {
    const Pair pair = heap.top();
    heap.pop();
    Symbol& left = symbols[pair.left];
    if (left.id != pair.left_id || left.next < 0 || symbols[left.next].id != pair.right_id) continue;
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

void Bpe::encode_word(std::string_view word, std::vector<int32_t>& out) const {
  std::string key(word);
  if (word.size() <= kCachedLength) {
    const std::lock_guard lock(cache_mutex_);
    if (const auto it = cache_.find(key); it != cache_.end()) {
      out.insert(out.end(), it->second.begin(), it->second.end());
      return;
    }
  }
  std::vector<int32_t> ids;
  if (definition_.ignore_merges) {
    std::string letters;
    for (unsigned char c : word) letters += byte_letters()[c];
    if (const auto it = id_of_.find(letters); it != id_of_.end()) ids.push_back(it->second);
  }
  if (ids.empty()) ids = merge_word(word);
  out.insert(out.end(), ids.begin(), ids.end());
  if (word.size() > kCachedLength) return;
  const std::lock_guard lock(cache_mutex_);
  if (cache_.size() >= kCachedWords) cache_.clear();
  cache_.emplace(std::move(key), std::move(ids));
}

void Bpe::encode_ordinary(std::string_view text, std::vector<int32_t>& out) const {
  if (text.empty()) return;
  std::string prefixed;
  if (definition_.add_prefix_space && text.front() != ' ') text = prefixed = " " + std::string(text);
  splitter_.split(text, [&](std::string_view word) { encode_word(word, out); });
}

std::vector<int32_t> Bpe::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> out;
  if (options.add_special_tokens && definition_.bos) out.push_back(*definition_.bos);
  size_t begin = 0;
  std::string firsts;  // bytes that an added token may start with
  if (options.parse_special)
    for (const BpeSpecial& token : added_)
      if (firsts.find(token.text[0]) == std::string::npos) firsts += token.text[0];
  for (size_t at = firsts.empty() ? std::string_view::npos : text.find_first_of(firsts); at != std::string_view::npos;) {
    const auto hit = std::find_if(added_.begin(), added_.end(), [&](const BpeSpecial& t) { return text.substr(at, t.text.size()) == t.text; });
    if (hit == added_.end()) {
      at = text.find_first_of(firsts, at + 1);
      continue;
    }
    encode_ordinary(text.substr(begin, at - begin), out);
    out.push_back(hit->id);
    begin = at + hit->text.size();
    at = text.find_first_of(firsts, begin);
  }
  encode_ordinary(text.substr(begin), out);
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
  for (const std::string& token : definition_.tokens) add(token);
  for (const auto& [left, right] : definition_.merges) {
    add(left);
    add(right);
  }
  for (const BpeSpecial& token : definition_.added) add(fmt::format("{} {} {}", token.id, token.special, token.text));
  for (const std::string& pattern : definition_.patterns) add(pattern);
  add(fmt::format("{} {} {} {}", definition_.add_prefix_space, definition_.ignore_merges, definition_.bos.value_or(-1), definition_.eos.value_or(-1)));
  return digest.hex();
}

}  // namespace

const std::vector<std::string>& byte_letters() {
  static const std::vector<std::string> letters = [] {
    std::vector<std::string> out;
    int next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable_byte = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
      const int code = printable_byte ? b : next++;
      if (code < 0x80) out.push_back(std::string(1, static_cast<char>(code)));
      else out.push_back({static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))});
    }
    return out;
  }();
  return letters;
}

std::unique_ptr<Tokenizer> make_bpe(BpeDefinition definition) {
  return std::make_unique<Bpe>(std::move(definition));
}

}  // namespace halftone
