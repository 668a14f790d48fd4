// The vocabulary and the merges of BPE as arrays in one run of bytes, which a packed file holds and
// a tokenizer uses where they lie. docs/formats.md has them to the byte.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/text/bpe.h"

namespace halftone {

inline constexpr int32_t kNoToken = -1;

class BpeTables {
 public:
  // Throws Error(format), naming the source, for merges of what is no token.
  static BpeTables of(const BpeDefinition& definition);
  // Of bytes() as they were, which `owner` keeps and which begin at a multiple of 4. Throws
  // Error(format), naming `source`, where their number is another one than the counts in them say;
  // the other functions throw it where they come upon a number that does not fit.
  BpeTables(std::shared_ptr<const void> owner, std::string_view bytes, std::string source);

  std::string_view bytes() const { return bytes_; }
  const std::string& source() const { return source_; }
  int64_t vocab_size() const {
    return ids_;
  }  // largest id + 1, with tokens added to the vocabulary

  // Of an id below vocab_size().
  bool known(int32_t id) const { return flags_[id] & kKnown; }
  bool special(int32_t id) const { return flags_[id] & kSpecial; }
  // A character that a merge joins to a space mark behind it.
  bool joins_space(int32_t id) const { return flags_[id] & kJoinsSpace; }
  std::string_view decoded(int32_t id) const { return text(decoded_, ids_, id); }

  // By id, as the vocabulary writes them; empty: none has the id.
  std::vector<std::string_view> tokens() const;
  // The first id of a token of the vocabulary, kNoToken where there is none.
  int32_t id_of(std::string_view token) const;

  // The ids of two tokens that are merged, and of what they become.
  struct Pair {
    uint32_t left, right, merged;
  };
  int64_t pairs() const { return merges_; }
  Pair pair(int64_t rank) const;
  struct Merge {
    int32_t rank, id;
  };
  std::optional<Merge> merge_of(int32_t left, int32_t right) const;

 private:
  static constexpr uint8_t kKnown = 1, kSpecial = 2, kJoinsSpace = 4;
  friend class BpeTablesWriter;
  struct Texts {  // number i is bytes [at[i], at[i + 1])
    const uint32_t* at;
    std::string_view all;
  };
  std::string_view text(const Texts& texts, uint32_t count, uint32_t index) const;
  [[noreturn]] void damaged(const char* what, uint64_t found, const std::string& expected) const;

  std::shared_ptr<const void> owner_;
  std::string_view bytes_;
  std::string source_;
  uint32_t tokens_ = 0, ids_ = 0, merges_ = 0, token_slots_ = 0, pair_slots_ = 0;
  Texts texts_{}, decoded_{};
  const uint32_t *by_text_ = nullptr, *by_pair_ = nullptr;  // hash tables: 0, or index + 1
  const Pair* merged_ = nullptr;
  const uint8_t* flags_ = nullptr;
};

// The texts of a tokenizer's ids: the vocabulary's, but for what `settings` add and leave unused.
std::vector<std::string_view> texts_by_id(std::vector<std::string_view> tokens,
                                          const BpeDefinition& settings);

}  // namespace halftone
