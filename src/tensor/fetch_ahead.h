// Fetching what a loop's next part reads while this one computes: memory answers in hundreds of
// cycles, and rows of a few hundred bytes end before the CPU has foreseen them. Within the library.
#pragma once

#include <cstdint>

#include "halftone/base/rounding.h"
#include "halftone/base/simd.h"

namespace halftone {

// rows x columns numbers, rows `stride` apart, fetched in as many shares as there are turns.
class FetchAhead {
 public:
  FetchAhead() = default;
  HT_INLINE FetchAhead(const float* first, int64_t stride, int64_t rows, int64_t columns,
                       int64_t turns)
      : row_(first),
        stride_(stride),
        rows_(rows),
        columns_(columns),
        share_(divide_up(divide_up(columns, kLine) * rows, turns)) {}

  HT_INLINE void next() {
    for (int64_t i = 0; i < share_ && rows_ > 0; ++i) {
      __builtin_prefetch(row_ + column_, 0, 2);
      column_ += kLine;
      if (column_ < columns_) continue;
      column_ = 0;
      row_ += stride_;
      --rows_;
    }
  }

 private:
  static constexpr int64_t kLine = 16;  // of the cache, in numbers

  const float* row_ = nullptr;
  int64_t stride_ = 0, rows_ = 0, columns_ = 0, share_ = 0, column_ = 0;
};

}  // namespace halftone
