// Shuffled batches without end, whose place can be saved and restored.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/text/token_stream.h"

namespace halftone {

struct Cursor {
  int64_t epoch = 0;
  int64_t position = 0;  // sequences of the epoch already given out
  bool operator==(const Cursor&) const = default;
};

class Batches {
 public:
  // Each epoch has an order of its own, a function of (seed, epoch). `sequences` must outlive this.
  Batches(const TokenSequences& sequences, int64_t batch_size, uint64_t seed);

  // batch_size sequences, one after another; a batch may run over into the next epoch.
  std::vector<int32_t> next();
  // Passes over so many batches.
  void skip(int64_t batches);
  // The numbers of the sequences that next() gave last.
  const std::vector<int64_t>& given() const { return given_; }
  Cursor cursor() const { return cursor_; }
  bool holds(const Cursor& cursor) const;  // it lies in an epoch
  void seek(const Cursor& cursor);         // throws std::invalid_argument beyond the epoch's end

 private:
  void shuffle();
  int64_t advance();  // the number of the next sequence

  const TokenSequences& sequences_;
  int64_t batch_size_;
  uint64_t seed_;
  Cursor cursor_;
  std::vector<uint64_t> order_;
  std::vector<int64_t> given_;
};

}  // namespace halftone
