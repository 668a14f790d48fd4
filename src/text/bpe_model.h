// The vocabulary and the merges of BPE: words in, ids out.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bpe_tables.h"
#include "halftone/text/bpe.h"
#include "word_cache.h"

namespace halftone {

class BpeModel {
 public:
  // Of the definition its settings; tokens and merges are those of the tables.
  BpeModel(const BpeDefinition& definition, const BpeTables& tables);

  // Appends the ids of a word: of its bytes where the model is byte-level, else of its characters.
  // Throws Error(format) for a word of more than 1 GiB, or one that needs an unknown token where
  // the definition names one that is none. Safe from many threads.
  void append(std::string_view word, std::vector<int32_t>& out) const;

 private:
  using Ids = std::vector<int32_t>;

  std::vector<std::string_view> parts_of(std::string_view word) const;
  Ids word_ids(std::string_view word) const;
  Ids starting_ids(std::string_view word) const;
  void merge(Ids& ids) const;
  int32_t unknown_id() const;

  BpeTables tables_;
  std::string unknown_;
  bool byte_level_, byte_fallback_, fuse_unknown_, ignore_merges_;
  std::array<int32_t, 256> letter_ids_, byte_ids_;  // of byte letters and of "<0x00>" ..
  bool cuts_ = false;                               // words may be cut before a space mark
  mutable WordCache cache_;
};

}  // namespace halftone
