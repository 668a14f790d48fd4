#include "halftone/text/batches.h"

#include "halftone/base/error.h"
#include "halftone/base/rng.h"

namespace halftone {

Batches::Batches(const TokenSequences& sequences, int64_t batch_size, uint64_t seed)
    : sequences_(sequences), batch_size_(batch_size), seed_(seed) {
  require(batch_size > 0, "Batches: batch size {}", batch_size);
  shuffle();
}

void Batches::shuffle() {
  const uint64_t stream =
      (static_cast<uint64_t>(RngStream::data_order) << 40) + static_cast<uint64_t>(cursor_.epoch);
  order_ = permutation(static_cast<uint64_t>(sequences_.count()), seed_, stream);
}

int64_t Batches::advance() {
  if (cursor_.position == sequences_.count()) {
    cursor_ = {cursor_.epoch + 1, 0};
    shuffle();
  }
  return static_cast<int64_t>(order_[cursor_.position++]);
}

void Batches::skip(int64_t batches) {
  for (int64_t i = 0; i < batches * batch_size_; ++i) advance();
}

std::vector<int32_t> Batches::next() {
  std::vector<int32_t> ids;
  ids.reserve(batch_size_ * sequences_.length());
  given_.clear();
  for (int64_t i = 0; i < batch_size_; ++i) {
    given_.push_back(advance());
    const auto sequence = sequences_.sequence(given_.back());
    ids.insert(ids.end(), sequence.begin(), sequence.end());
  }
  return ids;
}

bool Batches::holds(const Cursor& cursor) const {
  return cursor.epoch >= 0 && cursor.position >= 0 && cursor.position <= sequences_.count();
}

void Batches::seek(const Cursor& cursor) {
  require(holds(cursor), "Batches: epoch {}, position {} of {}", cursor.epoch, cursor.position,
          sequences_.count());
  cursor_ = cursor;
  shuffle();
}

}  // namespace halftone
