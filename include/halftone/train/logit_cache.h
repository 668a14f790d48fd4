// What a teacher says of every training token, on disk (top_log_probs.h): a distillation without a
// loss on hidden states runs its teacher once over the text, not once an epoch.
//
// A folder of sealed files (sealed_file.h) part-000, part-001, ..., each of the same number of
// whole sequences. A part is saved durably when it is whole, and is what a killed run loses at
// most: 8,192 tokens, or one 256th of a text so long that there would be more than 256 files.
// The parts are mapped: what was read of them counts as resident memory, but is the system's to
// take back.
//
// Layout of a part, little-endian, k entries a token in the text's order:
//    0  "HTLOGITS"    8  version, u32 = 1    12  bytes of an id, u32 = 2 or 4
//   16  the key, 64 characters               80  k, u64     88  tokens of a sequence, u64
//   96  number of its first sequence, u64   104  sequences in it, u64
//  112  the ids, u16 or u32, then as many log-probabilities, F16
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "halftone/io/mapped_file.h"
#include "halftone/nn/decoder.h"
#include "halftone/ops/top_log_probs.h"

namespace halftone {

struct LogitCacheSpec {
  std::string directory;
  std::string key;        // SHA-256 of all that decides the numbers
  int64_t sequences = 0;  // of the text
  int64_t length = 0;     // tokens of each
  int64_t vocabulary = 0;
  int64_t top_k = 0;

  int64_t parts() const;
  int64_t first_sequence(int64_t part) const;  // of part parts(): sequences
  std::string part_file(int64_t part) const;
  uint64_t part_bytes(int64_t part) const;  // without the seal
  uint64_t bytes() const;                   // of all files
};

class LogitCache {
 public:
  // Maps the parts that are there; none are, where there is no such folder. Reads each once, for
  // its seal. Throws Error(format) naming a part that is damaged or of another key or shape.
  explicit LogitCache(LogitCacheSpec spec);

  const LogitCacheSpec& spec() const { return spec_; }
  bool holds(int64_t part) const { return parts_[part] != nullptr; }
  bool whole() const;
  // Saves a part, the rows of its sequences in their order, and maps it. The folder must be there.
  // Throws Error(io).
  void write(int64_t part, std::span<const TopLogProbs> rows);

  // Of every token of the sequences, one after another. Their parts must be there.
  TopLogProbs rows(std::span<const int64_t> sequences) const;
  // Of all parts, by their seals; the cache must be whole.
  std::string sha256() const;

 private:
  LogitCacheSpec spec_;
  std::vector<std::shared_ptr<const MappedFile>> parts_;  // null: not there yet
};

// The teacher's rows of `batch` sequences of equal length, as a cache keeps them.
TopLogProbs teacher_rows(Decoder& teacher, const std::vector<int32_t>& ids, int64_t batch,
                         int64_t top_k, double temperature);

}  // namespace halftone
