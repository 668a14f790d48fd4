// How attention cuts its work: keys in packed blocks, queries in tiles of a head and these in
// row tiles.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "passes.h"
#include "row_tile_gemm.h"
#include "tensor/gemm/fetch_ahead.h"

namespace halftone {

// Numbers of a row of a row tile's product with values or keys.
inline int64_t row_tile_width(const AttentionShape& s) {
  return round_up(s.head_dim, kRowTileColumns);
}

// All keys, or values, packed for products with row tiles of queries: once for every query and head
// that reads them. Blocks of a size that stays in the second-level cache.
template <class T>
class KeyBlocks {
 public:
  static constexpr int64_t kKeys = 256;  // of a block

  // With Transpose::yes a block is D x keys, else keys x D.
  KeyBlocks(const AttentionShape& s, Transpose transposed, const T* x)
      : s_(s),
        count_(divide_up(s.key_length, kKeys)),
        blocks_(s.batch * s.key_value_heads * count_) {
    parallel_for(s.batch * s.key_value_heads * count_, 1, [&](int64_t i, int64_t) {
      const int64_t group = i / count_, key = i % count_ * kKeys,
                    keys = std::min(kKeys, s.key_length - key);
      const KeyRows<T> rows(s, x, group / s.key_value_heads, group % s.key_value_heads);
      FetchAhead(rows.at(key), rows.stride, keys, s.head_dim, 1).next();
      const bool yes = transposed == Transpose::yes;
      blocks_[i] = RowTileFactor<T>(transposed, yes ? s.head_dim : keys, yes ? keys : s.head_dim,
                                    rows.at(key), rows.stride);
    });
  }

  // Where the block begins that `key` is in.
  static int64_t begin(int64_t key) { return key / kKeys * kKeys; }

  // The block that begins with `key`, of a query head's keys.
  const RowTileFactor<T>& at(int64_t batch, int64_t head, int64_t key) const {
    const int64_t group = head / (s_.heads / s_.key_value_heads);
    return blocks_[(batch * s_.key_value_heads + group) * count_ + key / kKeys];
  }

 private:
  const AttentionShape& s_;
  int64_t count_;
  std::vector<RowTileFactor<T>> blocks_;
};

// Some queries of one head.
struct QueryTile {
  static constexpr int64_t kQueries = 8 * kRowTileRows;  // at most

  const AttentionShape& s;
  int64_t batch, head, first, queries;

  QueryTile(const AttentionShape& shape, int64_t b, int64_t h, int64_t index)
      : s(shape),
        batch(b),
        head(h),
        first(index * kQueries),
        queries(std::min(kQueries, shape.query_length - first)) {}
  static int64_t count(const AttentionShape& s) { return divide_up(s.query_length, kQueries); }

  // Query r of the tile sees keys hidden(r) .. visible(r) - 1.
  int64_t visible(int64_t r) const { return s.key_length - s.query_length + first + r + 1; }
  int64_t hidden(int64_t r) const {
    return s.window ? std::max<int64_t>(visible(r) - s.window, 0) : 0;
  }
  int64_t seen() const { return visible(queries - 1); }
  // Query r in a (B*Tq x H*D) matrix, how far it is to the next, and the tile in a (B*H x Tq)
  // matrix.
  template <class T>
  T* row(T* x, int64_t r) const {
    return x + ((batch * s.query_length + first + r) * s.heads + head) * s.head_dim;
  }
  int64_t stride() const { return s.heads * s.head_dim; }
  template <class T>
  T* numbers(T* x) const {
    return x + (batch * s.heads + head) * s.query_length + first;
  }
};

// Queries of a tile that are multiplied at a time, and how many of n keys from `key` they see, in
// whole vectors: the scores beyond what one of them sees are hidden. None where the window of each
// lies behind them.
struct RowTile {
  int64_t queries, keys;

  RowTile(const QueryTile& tile, int64_t query, int64_t key, int64_t n)
      : queries(std::min(kRowTileRows, tile.queries - query)) {
    const int64_t visible = tile.visible(query + queries - 1) - key;
    keys =
        tile.hidden(query) >= key + n ? 0 : std::min(round_up(std::max<int64_t>(visible, 0), 8), n);
  }
};

// Scores of keys that a query does not see, those from `hidden` to `visible` seen: they weigh
// nothing, and whole vectors of them cost less than a loop's odd end.
template <class T>
HT_INLINE inline void hide(int64_t keys, int64_t hidden, int64_t visible, T* scores) {
  for (int64_t j = 0; j < std::min(hidden, keys); ++j)
    scores[j] = -std::numeric_limits<T>::infinity();
  for (int64_t j = std::max<int64_t>(visible, 0); j < keys; ++j)
    scores[j] = -std::numeric_limits<T>::infinity();
}

// The row tile after the one at `first` is fetched while that one is worked on: its rows, pieces of
// a few lines, come too late otherwise.
template <class T>
HT_INLINE inline void fetch_next_row_tile(const QueryTile& tile, int64_t first, const T* x) {
  FetchAhead(tile.row(x, first + kRowTileRows), tile.stride(), kRowTileRows, tile.s.head_dim, 1)
      .next();
}

// The rows of a tile from `first` on, as a row tile reads them: where they lie if it is whole,
// else, or where rows whole pages apart would meet in the same lines of the cache, copied.
template <class T>
class RowTileView {
 public:
  RowTileView(const QueryTile& tile, const RowTile& row_tile, int64_t first, const T* x, T* copy)
      : data_(tile.row(x, first)), stride_(tile.stride()) {
    const int64_t d = tile.s.head_dim;
    if (row_tile.queries == kRowTileRows && !rows_meet(stride_)) return;
    for (int64_t r = 0; r < row_tile.queries; ++r)
      std::copy_n(data_ + r * stride_, d, copy + r * kRowTileStride);
    data_ = copy;
    stride_ = kRowTileStride;
  }
  const T* data() const { return data_; }
  int64_t stride() const { return stride_; }

 private:
  const T* data_;
  int64_t stride_;
};

}  // namespace halftone
