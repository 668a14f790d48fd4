// Products of a few rows at a time with a factor that is packed once, as attention has them: a
// strip of queries by all keys, its weights by all values. A strip and its results stay in the
// first-level cache.
#pragma once

#include <cstdint>
#include <memory>

#include "halftone/tensor/sgemm.h"

namespace halftone {

inline constexpr int64_t kStripRows = 12;     // of a strip
inline constexpr int64_t kStripStride = 288;  // numbers of a row, at most
inline constexpr int64_t kStripColumns = 32;  // results have room for multiples of it

// A product's right factor op(B), k x n, both up to kStripStride, packed as sgemm packs it.
template <class T>
class StripFactor {
 public:
  StripFactor() = default;
  StripFactor(Transpose tb, int64_t k, int64_t n, const T* b, int64_t ldb);

  // C (kStripRows x n) = A B, or += where `add`, over the first k rows and n columns of B; A is a
  // strip. Rows of A and C are lda and ldc apart. C's columns up to the next multiple of
  // kStripColumns are scratch.
  void multiply(int64_t n, int64_t k, const T* a, int64_t lda, bool add, T* c, int64_t ldc) const;

  // C (m x n) += A^T B over the first k rows and n columns of B, where A, k x m, is zero above a
  // diagonal: A(r, i) = 0 for i > r + diagonal. Of those zeros the first kAboveDiagonal of a row
  // are read, no others. As many rows of C, and columns of A, as the next multiple of kStripRows
  // are there, and added to likewise.
  static constexpr int64_t kAboveDiagonal = 16;
  void multiply_turned(int64_t m, int64_t n, int64_t k, int64_t diagonal, const T* a, int64_t lda,
                       T* c, int64_t ldc) const;

 private:
  int64_t depth_ = 0;
  std::shared_ptr<void> panels_;  // depth_ deep, one after another
};

}  // namespace halftone
