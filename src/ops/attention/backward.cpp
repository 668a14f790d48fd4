// Backward: scores are made again block by block.
#include <algorithm>
#include <cmath>

#include "halftone/base/rounding.h"
#include "halftone/tensor/tensor.h"
#include "ops/math.h"
#include "ops/row_math.h"
#include "passes.h"
#include "tiles.h"

namespace halftone {
namespace {

constexpr int64_t kTasks = 12;  // wanted where a batch has fewer key-value heads

// What the queries of a head multiply.
template <class T>
struct PackedKeys {
  KeyBlocks<T> transposed_keys, transposed_values, keys;

  PackedKeys(const AttentionShape& s, const T* k, const T* v)
      : transposed_keys(s, Transpose::yes, k),
        transposed_values(s, Transpose::yes, v),
        keys(s, Transpose::no, k) {}
};

// Gradients at the keys and values of one head, Tk x D, with room for whole row tiles: rows are a
// row tile's width apart.
template <class T>
struct KeyGradients {
  T *dk, *dv;
};

// Scores p and dp = dO V^T of a row become the probabilities and the gradient at q k^T.
template <class T>
HT_INLINE inline void softmax_row_backward(int64_t keys, T scale, T binary, T lse, T dot, T* p,
                                           T* dp) {
#pragma omp simd
  for (int64_t j = 0; j < keys; ++j) {
    const T e = fast_exp2_negative(p[j] * binary - lse);
    p[j] = e;
    dp[j] = scale * e * (dp[j] - dot);
  }
}

// Gradients of one tile: its rows of dq, and its part of dk and dv, added.
template <class T>
void tile_backward(const QueryTile& tile, const PackedKeys<T>& packed, const T* q, const T* out,
                   const T* dout, const T* lse, T* dq, const KeyGradients<T>& gradients) {
  const int64_t d = tile.s.head_dim, width = row_tile_width(tile.s);
  const DType dtype = dtype_of<T>::value;
  Tensor copies = Tensor::uninitialized({2 * kRowTileRows, kRowTileStride}, dtype),
         scores = Tensor::uninitialized({2 * QueryTile::kQueries, kRowTileStride}, dtype),
         mixed = Tensor::uninitialized({QueryTile::kQueries, width}, dtype);
  T *q_copy = copies.template data<T>(), *dout_copy = q_copy + kRowTileRows * kRowTileStride;
  T *p = scores.template data<T>(), *dp = p + QueryTile::kQueries * kRowTileStride;
  T* dqs = mixed.template data<T>();
  T dots[QueryTile::kQueries];  // dout . out
  const T scale = score_scale<T>(tile.s), binary = binary_scale<T>(tile.s);
  const int64_t start = KeyBlocks<T>::begin(tile.hidden(0));
  const RowTileFactor<T> queries(Transpose::no, tile.queries, d, tile.row(q, 0), tile.stride()),
      douts(Transpose::no, tile.queries, d, tile.row(dout, 0), tile.stride());
  for (int64_t key = start; key < tile.seen(); key += KeyBlocks<T>::kKeys) {
    const RowTileFactor<T>&transposed_keys = packed.transposed_keys.at(tile.batch, tile.head, key),
          &transposed_values = packed.transposed_values.at(tile.batch, tile.head, key),
          &block_keys = packed.keys.at(tile.batch, tile.head, key);
    const int64_t keys = std::min(KeyBlocks<T>::kKeys, tile.seen() - key);
    for (int64_t first = 0; first < tile.queries; first += kRowTileRows) {
      const RowTile row_tile(tile, first, key, keys);
      if (key == start) fetch_next_row_tile(tile, first, out);
      T *ps = p + first * kRowTileStride, *dps = dp + first * kRowTileStride;
      if (row_tile.keys > 0) {
        const RowTileView<T> rows(tile, row_tile, first, q, q_copy),
            dout_rows(tile, row_tile, first, dout, dout_copy);
        transposed_keys.multiply(row_tile.keys, d, rows.data(), rows.stride(), false, ps,
                                 kRowTileStride);
        transposed_values.multiply(row_tile.keys, d, dout_rows.data(), dout_rows.stride(), false,
                                   dps, kRowTileStride);
      }
      simd([&]() HT_INLINE {
        for (int64_t r = 0; r < row_tile.queries; ++r) {
          const int64_t query = first + r;
          if (key == start) dots[query] = row_dot(d, tile.row(dout, query), tile.row(out, query));
          T *row = ps + r * kRowTileStride, *drow = dps + r * kRowTileStride;
          hide(row_tile.keys, tile.hidden(query) - key, tile.visible(query) - key, row);
          softmax_row_backward(row_tile.keys, scale, binary, tile.numbers(lse)[query], dots[query],
                               row, drow);
          // All below the diagonal is read, and above it as much.
          const int64_t below = tile.hidden(query) >= key + keys ? keys : row_tile.keys,
                        zeros = below - row_tile.keys + RowTileFactor<T>::kAboveDiagonal;
          std::fill_n(row + row_tile.keys, zeros, T(0));
          std::fill_n(drow + row_tile.keys, zeros, T(0));
        }
      });
      block_keys.multiply(d, row_tile.keys, dps, kRowTileStride, key > start, dqs + first * width,
                          width);
    }
    const int64_t diagonal = tile.visible(0) - 1 - key;
    douts.multiply_transposed(keys, d, tile.queries, diagonal, p, kRowTileStride,
                              gradients.dv + key * width, width);
    queries.multiply_transposed(keys, d, tile.queries, diagonal, dp, kRowTileStride,
                                gradients.dk + key * width, width);
  }
  for (int64_t r = 0; r < tile.queries; ++r) std::copy_n(dqs + r * width, d, tile.row(dq, r));
}

// dx (B*Tk x G*D) = the sums, in order, of the parts of each group; parts are (B*G*P) matrices of
// `rows` x `width`.
template <class T>
void sum_parts(const AttentionShape& s, int64_t count, const T* parts, int64_t rows, int64_t width,
               T* dx) {
  const int64_t d = s.head_dim;
  parallel_for(s.batch * s.key_length, 32, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t b = row / s.key_length, t = row % s.key_length;
        for (int64_t i = 0; i < s.key_value_heads * count; ++i) {
          const T* part = parts + ((b * s.key_value_heads * count + i) * rows + t) * width;
          T* to = dx + (row * s.key_value_heads + i / count) * d;
          if (i % count == 0)
            for (int64_t j = 0; j < d; ++j) to[j] = part[j];
          else
            for (int64_t j = 0; j < d; ++j) to[j] += part[j];
        }
      }
    });
  });
}

// The tiles of the heads that share keys are dealt out to parts, each with a dk and dv of its own,
// so that a small batch has work for every thread.
template <class T>
void backward(const AttentionShape& s, const T* q, const T* k, const T* v, const T* out,
              const T* lse, const T* dout, T* dq, T* dk, T* dv) {
  const PackedKeys<T> packed(s, k, v);
  const int64_t groups = s.batch * s.key_value_heads, heads = s.heads / s.key_value_heads;
  const int64_t tiles = QueryTile::count(s);
  const int64_t parts = std::clamp<int64_t>(kTasks / groups, 1, tiles);
  const int64_t rows = round_up(s.key_length, kRowTileRows), width = row_tile_width(s);
  Tensor dk_parts = Tensor::zeros({groups * parts, rows, width}, dtype_of<T>::value),
         dv_parts = Tensor::zeros({groups * parts, rows, width}, dtype_of<T>::value);
  parallel_for(groups * parts, 1, [&](int64_t task, int64_t) {
    const int64_t group = task / parts;
    const KeyGradients<T> gradients{dk_parts.template data<T>() + task * rows * width,
                                    dv_parts.template data<T>() + task * rows * width};
    for (int64_t i = 0; i < heads; ++i)
      for (int64_t index = task % parts; index < tiles; index += parts)
        tile_backward(
            QueryTile(s, group / s.key_value_heads, group % s.key_value_heads * heads + i, index),
            packed, q, out, dout, lse, dq, gradients);
  });
  sum_parts(s, parts, dk_parts.template data<T>(), rows, width, dk);
  sum_parts(s, parts, dv_parts.template data<T>(), rows, width, dv);
}

}  // namespace

void cpu::attention_backward(const AttentionShape& s, const Tensor& q, const Tensor& k,
                             const Tensor& v, const Tensor& out, const Tensor& lse,
                             const Tensor& dout, Tensor& dq, Tensor& dk, Tensor& dv) {
  with_real(q.dtype(), "attention", [&]<class T>() {
    backward(s, q.data<T>(), k.data<T>(), v.data<T>(), out.data<T>(), lse.data<T>(), dout.data<T>(),
             dq.data<T>(), dk.data<T>(), dv.data<T>());
  });
}

}  // namespace halftone
