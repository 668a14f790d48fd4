// Fetching what a loop's next part reads while this one computes: memory answers in hundreds of
// cycles, and rows of a few hundred bytes end before the CPU has foreseen them. Inlined, or GCC
// takes it for a function without effects and drops the calls.
#pragma once

#include <cstdint>

#include "halftone/base/rounding.h"
#include "halftone/base/simd.h"

namespace halftone {

// rows x columns numbers, rows `stride` apart, fetched in as many shares as there are turns.
class FetchAhead {
 public:
  FetchAhead() = default;
  template <class T>
  HT_INLINE FetchAhead(const T* first, int64_t stride, int64_t rows, int64_t columns, int64_t turns)
      : row_(reinterpret_cast<const char*>(first)),
        stride_(stride * static_cast<int64_t>(sizeof(T))),
        rows_(rows),
        bytes_(columns * static_cast<int64_t>(sizeof(T))),
        share_(divide_up(divide_up(bytes_, kLine) * rows, turns)) {}

  HT_INLINE void next() {
    for (int64_t i = 0; i < share_ && rows_ > 0; ++i) {
      __builtin_prefetch(row_ + at_, 0, 2);
      at_ += kLine;
      if (at_ < bytes_) continue;
      at_ = 0;
      row_ += stride_;
      --rows_;
    }
  }

 private:
  static constexpr int64_t kLine = 64;  // of the cache

  const char* row_ = nullptr;
  int64_t stride_ = 0, rows_ = 0, bytes_ = 0, share_ = 0, at_ = 0;
};

}  // namespace halftone
