#include "bpe_tables.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "halftone/base/error.h"
#include "normalizer.h"
#include "token_text.h"
#include "utf8.h"

namespace halftone {
namespace {

// Numbers in front of the arrays: tokens, ids, merges, slots of tokens and of pairs, bytes of the
// tokens and of the decoded texts, zero.
constexpr size_t kCounts = 8;

// FNV-1a, both halves of it.
uint32_t text_hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return static_cast<uint32_t>(hash ^ hash >> 32);
}

uint32_t pair_hash(uint32_t left, uint32_t right) {
  const uint64_t key = static_cast<uint64_t>(left) << 32 | right;
  return static_cast<uint32_t>(key * 0x9e3779b97f4a7c15 >> 32);
}

// A token in the byte alphabet as bytes; letters outside it stand for themselves.
std::string letters_to_bytes(std::string_view token) {
  static const auto byte_of = [] {
    std::unordered_map<std::string, char, StringHash, std::equal_to<>> out;
    for (int b = 0; b < 256; ++b) out[byte_letters()[b]] = static_cast<char>(b);
    return out;
  }();
  std::string out;
  for (size_t at = 0, length = 0; at < token.size(); at += length) {
    length = character_length(token, at);
    const std::string_view letter = token.substr(at, length);
    const auto it = byte_of.find(letter);
    if (it == byte_of.end())
      out += letter;
    else
      out += it->second;
  }
  return out;
}

// The texts of all ids as they are decoded.
std::vector<std::string> decoded_texts(const BpeDefinition& d,
                                       const std::vector<std::string_view>& texts) {
  const Normalizer replace(d.decoding.replace, d.source);
  std::unordered_set<int32_t> added;
  for (const AddedToken& token : d.added) added.insert(token.id);
  std::vector<std::string> out;
  for (size_t id = 0; id < texts.size(); ++id) {
    const auto byte = d.decoding.bytes ? byte_of_token(texts[id]) : std::nullopt;
    if (d.byte_level && !added.contains(static_cast<int32_t>(id)))
      out.push_back(letters_to_bytes(texts[id]));
    else if (byte)
      out.emplace_back(1, static_cast<char>(*byte));
    else
      out.push_back(d.byte_level ? std::string(texts[id]) : replace.apply(texts[id]));
  }
  return out;
}

std::string below(uint64_t count) {
  return fmt::format("less than {}", count);
}

std::string_view last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return text.substr(at);
}

}  // namespace

std::vector<std::string_view> texts_by_id(std::vector<std::string_view> tokens,
                                          const BpeDefinition& settings) {
  for (const AddedToken& token : settings.added) {
    const size_t id = static_cast<size_t>(token.id);
    if (id >= tokens.size()) tokens.resize(id + 1);
    tokens[id] = token.text;
  }
  for (const int32_t id : settings.unused) tokens[id] = {};
  return tokens;
}

// Fills the arrays one after another.
class BpeTablesWriter {
 public:
  explicit BpeTablesWriter(const BpeDefinition& definition) : d_(definition) {}
  BpeTables write();

 private:
  void hash_tokens();
  void read_merges();
  int32_t id_of(const std::string& token) const;
  template <class Texts>
  void put_offsets(const Texts& texts, std::string& all);
  void put(const std::vector<uint32_t>& numbers) {
    out_.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(uint32_t));
  }

  const BpeDefinition& d_;
  std::vector<uint32_t> by_text_, merges_, by_pair_;
  std::vector<std::string_view> texts_;  // by id
  std::string flags_, out_;
};

int32_t BpeTablesWriter::id_of(const std::string& token) const {
  for (uint32_t slot = text_hash(token);; ++slot) {
    const uint32_t found = by_text_[slot & (by_text_.size() - 1)];
    if (found == 0) return kNoToken;
    if (d_.tokens[found - 1] == token) return static_cast<int32_t>(found - 1);
  }
}

void BpeTablesWriter::hash_tokens() {
  by_text_.resize(std::bit_ceil(2 * d_.tokens.size() + 1));
  for (size_t id = 0; id < d_.tokens.size(); ++id) {
    if (d_.tokens[id].empty() || id_of(d_.tokens[id]) != kNoToken) continue;
    uint32_t slot = text_hash(d_.tokens[id]) & (by_text_.size() - 1);
    while (by_text_[slot] != 0) slot = (slot + 1) & (by_text_.size() - 1);
    by_text_[slot] = static_cast<uint32_t>(id) + 1;
  }
}

// Of two merges of one pair the later one holds.
void BpeTablesWriter::read_merges() {
  by_pair_.resize(std::bit_ceil(2 * d_.merges.size() + 1));
  const auto id = [&](const std::string& token, const auto& pair) {
    const int32_t found = id_of(token);
    if (found == kNoToken)
      throw_error(ErrorKind::format,
                  "{}: merges[{}]: found '{} {}', but '{}' is no token of the vocabulary",
                  d_.source, merges_.size() / 3, printable(pair.first), printable(pair.second),
                  printable(token));
    return static_cast<uint32_t>(found);
  };
  for (const auto& pair : d_.merges) {
    const uint32_t rank = static_cast<uint32_t>(merges_.size() / 3);
    const uint32_t left = id(pair.first, pair), right = id(pair.second, pair);
    merges_.insert(merges_.end(), {left, right, id(pair.first + pair.second, pair)});
    uint32_t slot = pair_hash(left, right) & (by_pair_.size() - 1);
    for (; by_pair_[slot] != 0; slot = (slot + 1) & (by_pair_.size() - 1))
      if (const uint32_t* other = &merges_[3 * (by_pair_[slot] - 1)];
          other[0] == left && other[1] == right)
        break;
    by_pair_[slot] = rank + 1;
    if (!pair.second.starts_with(kSpaceMark)) continue;
    if (const int32_t last = id_of(std::string(last_character(pair.first))); last != kNoToken)
      flags_[last] = static_cast<char>(flags_[last] | BpeTables::kJoinsSpace);
  }
}

template <class Texts>
void BpeTablesWriter::put_offsets(const Texts& texts, std::string& all) {
  std::vector<uint32_t> offsets{0};
  for (const auto& text : texts) {
    all += text;
    offsets.push_back(static_cast<uint32_t>(all.size()));
  }
  if (all.size() > std::numeric_limits<uint32_t>::max())
    throw_error(ErrorKind::format, "{}: tokens of {} bytes, at most 2^32 - 1 expected", d_.source,
                all.size());
  put(offsets);
}

BpeTables BpeTablesWriter::write() {
  texts_ = texts_by_id({d_.tokens.begin(), d_.tokens.end()}, d_);
  flags_.resize(texts_.size());
  for (size_t id = 0; id < texts_.size(); ++id)
    if (!texts_[id].empty()) flags_[id] = BpeTables::kKnown;
  for (const AddedToken& token : d_.added)
    if (token.special) flags_[token.id] = static_cast<char>(flags_[token.id] | BpeTables::kSpecial);
  hash_tokens();
  read_merges();
  std::string tokens, decoded;
  put(std::vector<uint32_t>(kCounts));
  put_offsets(d_.tokens, tokens);
  put_offsets(decoded_texts(d_, texts_), decoded);
  for (const auto* array : {&by_text_, &merges_, &by_pair_}) put(*array);
  const size_t sizes[kCounts] = {d_.tokens.size(), texts_.size(), d_.merges.size(), by_text_.size(),
                                 by_pair_.size(),  tokens.size(), decoded.size(),   0};
  for (size_t i = 0; i < kCounts; ++i) {
    const uint32_t size = static_cast<uint32_t>(sizes[i]);
    std::memcpy(out_.data() + i * sizeof size, &size, sizeof size);
  }
  out_ += flags_;
  out_ += tokens;
  out_ += decoded;
  const auto owner = std::make_shared<const std::string>(std::move(out_));
  return BpeTables(owner, *owner, d_.source);
}

BpeTables BpeTables::of(const BpeDefinition& definition) {
  return BpeTablesWriter(definition).write();
}

BpeTables::BpeTables(std::shared_ptr<const void> owner, std::string_view bytes, std::string source)
    : owner_(std::move(owner)), bytes_(bytes), source_(std::move(source)) {
  uint32_t counts[kCounts] = {};
  std::memcpy(counts, bytes.data(), std::min(bytes.size(), sizeof counts));
  tokens_ = counts[0], ids_ = counts[1], merges_ = counts[2];
  token_slots_ = counts[3], pair_slots_ = counts[4];
  const uint64_t numbers = kCounts + uint64_t{tokens_} + 1 + uint64_t{ids_} + 1 + token_slots_ +
                           3 * uint64_t{merges_} + pair_slots_,
                 all = numbers * sizeof(uint32_t) + ids_ + counts[5] + counts[6];
  if (bytes.size() != all) damaged("bytes", bytes.size(), std::to_string(all));
  if (ids_ > uint32_t{std::numeric_limits<int32_t>::max()} || tokens_ > ids_)
    damaged("ids", ids_, fmt::format("from {} to 2^31 - 1", tokens_));
  if (!std::has_single_bit(token_slots_)) damaged("slots", token_slots_, "a power of two");
  if (!std::has_single_bit(pair_slots_)) damaged("slots", pair_slots_, "a power of two");
  const char* at = bytes.data() + sizeof counts;
  const auto take = [&](size_t count) {
    return reinterpret_cast<const uint32_t*>(std::exchange(at, at + count * sizeof(uint32_t)));
  };
  texts_.at = take(size_t{tokens_} + 1);
  decoded_.at = take(size_t{ids_} + 1);
  by_text_ = take(token_slots_);
  merged_ = reinterpret_cast<const Pair*>(take(3 * size_t{merges_}));
  by_pair_ = take(pair_slots_);
  flags_ = reinterpret_cast<const uint8_t*>(std::exchange(at, at + ids_));
  texts_.all = {at, counts[5]};
  decoded_.all = {at + counts[5], counts[6]};
}

void BpeTables::damaged(const char* what, uint64_t found, const std::string& expected) const {
  throw_error(ErrorKind::format, "{}: the tables of its tokenizer: {}: found {}, {} expected",
              source_, what, found, expected);
}

std::string_view BpeTables::text(const Texts& texts, uint32_t count, uint32_t index) const {
  if (index >= count) damaged("number of a text", index, below(count));
  const uint32_t begin = texts.at[index], end = texts.at[index + 1];
  if (begin > end || end > texts.all.size())
    damaged("end of a text", end, below(texts.all.size() + 1));
  return texts.all.substr(begin, end - begin);
}

std::vector<std::string_view> BpeTables::tokens() const {
  std::vector<std::string_view> out(tokens_);
  for (uint32_t id = 0; id < tokens_; ++id) out[id] = text(texts_, tokens_, id);
  return out;
}

int32_t BpeTables::id_of(std::string_view token) const {
  uint32_t slot = text_hash(token);
  for (uint32_t tried = 0; tried < token_slots_; ++tried, ++slot) {
    const uint32_t found = by_text_[slot & (token_slots_ - 1)];
    if (found == 0) break;
    if (text(texts_, tokens_, found - 1) == token) return static_cast<int32_t>(found - 1);
  }
  return kNoToken;
}

BpeTables::Pair BpeTables::pair(int64_t rank) const {
  if (rank >= merges_) damaged("rank", static_cast<uint64_t>(rank), below(merges_));
  const Pair out = merged_[rank];
  for (const uint32_t id : {out.left, out.right, out.merged})
    if (id >= tokens_) damaged("token of a merge", id, below(tokens_));
  return out;
}

std::optional<BpeTables::Merge> BpeTables::merge_of(int32_t left, int32_t right) const {
  const uint32_t l = static_cast<uint32_t>(left), r = static_cast<uint32_t>(right);
  uint32_t slot = pair_hash(l, r);
  for (uint32_t tried = 0; tried < pair_slots_; ++tried, ++slot) {
    const uint32_t found = by_pair_[slot & (pair_slots_ - 1)];
    if (found == 0) break;
    const Pair made = pair(found - 1);
    if (made.left == l && made.right == r)
      return Merge{static_cast<int32_t>(found - 1), static_cast<int32_t>(made.merged)};
  }
  return std::nullopt;
}

}  // namespace halftone
