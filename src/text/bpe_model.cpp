#include "bpe_model.h"

#include <algorithm>
#include <optional>
#include <queue>

#include "halftone/base/error.h"
#include "token_text.h"
#include "utf8.h"

namespace halftone {
namespace {

constexpr size_t kMostWordBytes = size_t{1} << 30;

std::string_view last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return text.substr(at);
}

}  // namespace

BpeModel::BpeModel(const BpeDefinition& d, const BpeTables& tables)
    : tables_(tables),
      unknown_(d.unknown),
      byte_level_(d.byte_level),
      byte_fallback_(d.byte_fallback),
      fuse_unknown_(d.fuse_unknown),
      ignore_merges_(d.ignore_merges) {
  for (int b = 0; b < 256; ++b) {
    letter_ids_[b] = tables_.id_of(byte_letters()[b]);
    byte_ids_[b] = tables_.id_of(fmt::format("<0x{:02X}>", b));
  }
  cuts_ = !byte_level_ && !ignore_merges_ && tables_.id_of(kSpaceMark) != kNoToken;
}

int32_t BpeModel::unknown_id() const {
  const int32_t id = tables_.id_of(unknown_);
  if (id == kNoToken)
    throw_error(
        ErrorKind::format,
        "{}: model.unk_token: found '{}', which is no token of the vocabulary, and the text "
        "has a character without one",
        tables_.source(), printable(unknown_));
  return id;
}

// Where the last character is known and no merge joins it to a space mark behind it, nothing is
// merged over that place: a document is cut into its words, whose ids are soon all in the cache.
std::vector<std::string_view> BpeModel::parts_of(std::string_view word) const {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  for (size_t at = word.find(kSpaceMark, 1); at != word.npos;
       at = word.find(kSpaceMark, at + kSpaceMark.size())) {
    const std::string_view last = last_character(word.substr(0, at));
    const int32_t id = last == kSpaceMark ? kNoToken : tables_.id_of(last);
    if (id == kNoToken || tables_.joins_space(id)) continue;
    parts.push_back(word.substr(begin, at - begin));
    begin = at;
  }
  parts.push_back(word.substr(begin));
  return parts;
}

void BpeModel::append(std::string_view word, Ids& out) const {
  const auto ids = [this](std::string_view w) { return word_ids(w); };
  if (!cuts_) return cache_.append(word, out, ids);
  for (const std::string_view part : parts_of(word)) cache_.append(part, out, ids);
}

BpeModel::Ids BpeModel::word_ids(std::string_view word) const {
  if (word.size() > kMostWordBytes)
    throw_error(ErrorKind::format, "text: a word of {} bytes, at most {} expected", word.size(),
                kMostWordBytes);
  if (ignore_merges_) {
    std::string letters;
    if (byte_level_)
      for (unsigned char c : word) letters += byte_letters()[c];
    const int32_t id = tables_.id_of(byte_level_ ? std::string_view(letters) : word);
    if (id != kNoToken) return {id};
  }
  Ids ids = starting_ids(word);
  merge(ids);
  return ids;
}

// Of letters or characters, before any merge. As Hugging Face's tokenizers have it, an unknown
// token waits for the next character with a token of its own, which may be behind byte tokens.
BpeModel::Ids BpeModel::starting_ids(std::string_view word) const {
  Ids ids;
  std::optional<int32_t> waiting;
  const auto put = [&](std::string_view letter, int32_t id) {
    if (id != kNoToken) {
      if (waiting) ids.push_back(*waiting);
      waiting.reset();
      ids.push_back(id);
      return;
    }
    const auto byte_id = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
    if (byte_fallback_ && std::none_of(letter.begin(), letter.end(),
                                       [&](char c) { return byte_id(c) == kNoToken; })) {
      for (const char c : letter) ids.push_back(byte_id(c));
    } else if (!unknown_.empty()) {
      if (waiting && !fuse_unknown_) ids.push_back(*waiting);
      waiting = unknown_id();
    }
  };
  if (byte_level_) {
    for (const unsigned char c : word) put(byte_letters()[c], letter_ids_[c]);
  } else {
    for (size_t at = 0, length = 0; at < word.size(); at += length) {
      length = character_length(word, at);
      const std::string_view letter = word.substr(at, length);
      put(letter, tables_.id_of(letter));
    }
  }
  if (waiting) ids.push_back(*waiting);
  return ids;
}

// Pairs wait in a heap by (rank, position). A pair whose symbols have changed is passed over: what
// they make now is another token.
void BpeModel::merge(Ids& ids) const {
  struct Symbol {
    int previous, next;
  };
  struct Pair {
    int32_t rank;
    int left;
    int32_t merged;
    bool operator>(const Pair& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  const int n = static_cast<int>(ids.size());
  std::vector<Symbol> symbols(n);
  for (int i = 0; i < n; ++i) symbols[i] = {i - 1, i + 1 < n ? i + 1 : -1};
  std::vector<Pair> storage;
  storage.reserve(n);
  std::priority_queue<Pair, std::vector<Pair>, std::greater<>> heap({}, std::move(storage));
  const auto offer = [&](int left) {
    if (left < 0 || symbols[left].next < 0) return;
    if (const auto merge = tables_.merge_of(ids[left], ids[symbols[left].next]))
      heap.push({merge->rank, left, merge->id});
  };
  for (int i = 0; i + 1 < n; ++i) offer(i);
  while (!heap.empty()) {
    const Pair pair = heap.top();
    heap.pop();
    Symbol& left = symbols[pair.left];
    if (ids[pair.left] == kNoToken || left.next < 0) continue;
    const int right = left.next;
    const auto merge = tables_.merge_of(ids[pair.left], ids[right]);
    if (!merge || merge->id != pair.merged) continue;
    ids[pair.left] = pair.merged;
    ids[right] = kNoToken;
    left.next = symbols[right].next;
    if (left.next >= 0) symbols[left.next].previous = pair.left;
    offer(left.previous);
    offer(pair.left);
  }
  std::erase(ids, kNoToken);
}

}  // namespace halftone
