// The vocabulary and the merges of BPE: words in, ids out.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "halftone/text/bpe.h"
#include "token_text.h"
#include "word_cache.h"

namespace halftone {

class BpeModel {
 public:
  explicit BpeModel(const BpeDefinition& definition);

  // Appends the ids of a word: of its bytes where the model is byte-level, else of its characters.
  // Throws Error(format) for a word of more than 1 GiB, or one that needs an unknown token where
  // the definition names one that is none. Safe from many threads.
  void append(std::string_view word, std::vector<int32_t>& out) const;

 private:
  struct Merge {
    int32_t rank;
    int32_t id;
  };
  using Ids = std::vector<int32_t>;

  void read_merges(const BpeDefinition& definition);
  std::vector<std::string_view> parts_of(std::string_view word) const;
  Ids word_ids(std::string_view word) const;
  Ids starting_ids(std::string_view word) const;
  void merge(Ids& ids) const;
  const Merge* merge_of(int32_t left, int32_t right) const;
  int32_t unknown_id() const;

  std::string source_, unknown_;
  bool byte_level_, byte_fallback_, fuse_unknown_, ignore_merges_;
  std::unordered_map<std::string, int32_t, StringHash, std::equal_to<>> id_of_;
  std::unordered_map<uint64_t, Merge> merges_;      // by (left id, right id)
  std::array<int32_t, 256> letter_ids_, byte_ids_;  // of byte letters and of "<0x00>" ..
  bool cuts_ = false;                               // words may be cut before a space mark,
  std::unordered_set<std::string, StringHash, std::equal_to<>> joined_;  // but not behind these
  mutable WordCache cache_;
};

}  // namespace halftone
