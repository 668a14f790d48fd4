// Products of a few rows at a time with a factor that is packed once, as attention has them: a
// row tile of queries by all keys, its weights by all values. A row tile and its results stay in
// the first-level cache.
#pragma once

#include <cstdint>
#include <memory>

#include "halftone/ops/attention.h"
#include "tensor/gemm/sgemm.h"

namespace halftone {

inline constexpr int64_t kRowTileRows = 12;              // of a row tile
inline constexpr int64_t kRowTileStride = kMostHeadDim;  // numbers of a row, at most
inline constexpr int64_t kRowTileColumns = 32;           // results have room for multiples of it

// A product's right factor op(B), k x n, both up to kRowTileStride, packed as sgemm packs it.
template <class T>
class RowTileFactor {
 public:
  RowTileFactor() = default;
  RowTileFactor(Transpose tb, int64_t k, int64_t n, const T* b, int64_t ldb);

  // C (kRowTileRows x n) = A B, or += where `add`, over the first k rows and n columns of B; A is a
  // row tile. Rows of A and C are lda and ldc apart. C's columns up to the next multiple of
  // kRowTileColumns are scratch.
  void multiply(int64_t n, int64_t k, const T* a, int64_t lda, bool add, T* c, int64_t ldc) const;

  // C (m x n) += A^T B over the first k rows and n columns of B, where A, k x m, is zero above a
  // diagonal: A(r, i) = 0 for i > r + diagonal. Of those zeros the first kAboveDiagonal of a row
  // are read, no others. As many rows of C, and columns of A, as the next multiple of kRowTileRows
  // are there, and added to likewise.
  static constexpr int64_t kAboveDiagonal = 16;
  void multiply_transposed(int64_t m, int64_t n, int64_t k, int64_t diagonal, const T* a,
                           int64_t lda, T* c, int64_t ldc) const;

 private:
  int64_t depth_ = 0;
  std::shared_ptr<void> panels_;  // depth_ deep, one after another
};

}  // namespace halftone
