#include <cmath>
#include <vector>

#include "attention_passes.h"
#include "halftone/base/threads.h"
#include "halftone/ops/math.h"
#include "halftone/ops/row_math.h"
#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

constexpr int64_t kTileRows = 128;  // of scores
constexpr int64_t kKeys = 256;      // a tile, which so stays in the second-level cache
constexpr int64_t kTasks = 12;      // wanted where a batch has fewer groups

// Rows `first` .. of one head of a (B*T x heads*D) matrix, and its row stride.
template <class T>
struct HeadRows {
  T* data;
  int64_t stride;
};

template <class T>
HeadRows<T> head_rows(T* data, int64_t batch, int64_t length, int64_t heads, int64_t dim,
                      int64_t head) {
  return {data + batch * length * heads * dim + head * dim, heads * dim};
}

// Scores p and dp = dO V^T of a row become the probabilities and the gradient at q k^T.
template <class T>
HT_INLINE inline void softmax_row_backward(int64_t keys, T scale, T lse, T dot, T* p, T* dp) {
#pragma omp simd
  for (int64_t j = 0; j < keys; ++j) {
    const T e = fast_exp(p[j] * scale - lse);
    p[j] = e;
    dp[j] = scale * e * (dp[j] - dot);
  }
}

template <class T>
void copy_rows(int64_t rows, int64_t width, HeadRows<const T> from, HeadRows<T> to) {
  for (int64_t r = 0; r < rows; ++r)
    std::copy_n(from.data + r * from.stride, width, to.data + r * to.stride);
}

// Queries first .. of one sequence and key-value head: a group's query heads read the same keys and
// values, so a tile has the rows of all of them and these are packed once.
template <class T>
struct GroupTile {
  const AttentionShape& s;
  int64_t batch, group, first, queries;

  int64_t per_group() const { return s.heads / s.key_value_heads; }
  int64_t rows() const { return per_group() * queries; }
  // Keys that the query of row r sees.
  int64_t visible(int64_t r) const {
    return s.key_length - s.query_length + first + r % queries + 1;
  }
  // The tile's rows of the group's query head i.
  template <class X>
  HeadRows<X> head(X* x, int64_t i) const {
    const auto h =
        head_rows(x, batch, s.query_length, s.heads, s.head_dim, group * per_group() + i);
    return {h.data + first * h.stride, h.stride};
  }
};

// Of all tiles but the last; whole vectors of keys follow from it.
int64_t tile_queries(const AttentionShape& s) {
  const int64_t most = std::max<int64_t>(kTileRows * s.key_value_heads / s.heads / 8 * 8, 8);
  const int64_t tiles = (s.query_length + most - 1) / most;
  return ((s.query_length + tiles - 1) / tiles + 7) / 8 * 8;
}

int64_t tile_count(const AttentionShape& s) {
  return (s.query_length + tile_queries(s) - 1) / tile_queries(s);
}

// Tile `index` of a sequence's key-value head, `group` over the batch.
template <class T>
GroupTile<T> group_tile(const AttentionShape& s, int64_t group, int64_t index) {
  const int64_t queries = tile_queries(s), first = index * queries;
  return {s, group / s.key_value_heads, group % s.key_value_heads, first,
          std::min(queries, s.query_length - first)};
}

// Gradients of one tile: its rows of dq, and its part of dk and dv (Tk x D each), added.
template <class T>
void tile_backward(const GroupTile<T>& tile, const T* q, const KeyRows<T>& k, const KeyRows<T>& v,
                   const T* out, const T* dout, const T* lse, T* dq, T* dk, T* dv) {
  const AttentionShape& s = tile.s;
  const int64_t d = s.head_dim, rows = tile.rows(), queries = tile.queries;
  const int64_t seen = tile.visible(queries - 1), most = std::min(kKeys, seen);
  const T scale = T(1) / std::sqrt(static_cast<T>(d));
  const DType dtype = dtype_of<T>::value;
  Tensor turned = Tensor::uninitialized({3 * rows, d}, dtype),
         scores = Tensor::uninitialized({2 * rows, most}, dtype);
  T *qs = turned.template data<T>(), *dos = qs + rows * d, *dqs = dos + rows * d;
  T *p = scores.template data<T>(), *dp = p + rows * most;
  std::vector<T> dots(rows), row_lse(rows);
  for (int64_t i = 0; i < tile.per_group(); ++i) {
    const HeadRows<const T> of_out = tile.head(out, i);
    const int64_t head = tile.group * tile.per_group() + i, row = i * queries;
    copy_rows<T>(queries, d, tile.head(q, i), {qs + row * d, d});
    copy_rows<T>(queries, d, tile.head(dout, i), {dos + row * d, d});
    std::copy_n(lse + (tile.batch * s.heads + head) * s.query_length + tile.first, queries,
                row_lse.data() + row);
    simd([&]() HT_INLINE {
      for (int64_t r = 0; r < queries; ++r)
        dots[row + r] = row_dot(d, dos + (row + r) * d, of_out.data + r * of_out.stride);
    });
  }
  for (int64_t key = 0; key < seen; key += kKeys) {
    const int64_t keys = std::min(kKeys, seen - key);
    const T *ks = k.at(key), *vs = v.at(key);
    gemm(Transpose::no, Transpose::yes, rows, keys, d, T(1), qs, d, ks, k.stride, T(0), p, keys);
    gemm(Transpose::no, Transpose::yes, rows, keys, d, T(1), dos, d, vs, v.stride, T(0), dp, keys);
    simd([&]() HT_INLINE {
      for (int64_t r = 0; r < rows; ++r) {
        hide(keys, std::clamp<int64_t>(tile.visible(r) - key, 0, keys), p + r * keys);
        softmax_row_backward(keys, scale, row_lse[r], dots[r], p + r * keys, dp + r * keys);
      }
    });
    gemm(Transpose::yes, Transpose::no, keys, d, rows, T(1), p, keys, dos, d, T(1), dv + key * d,
         d);
    gemm(Transpose::yes, Transpose::no, keys, d, rows, T(1), dp, keys, qs, d, T(1), dk + key * d,
         d);
    gemm(Transpose::no, Transpose::no, rows, d, keys, T(1), dp, keys, ks, k.stride,
         key == 0 ? T(0) : T(1), dqs, d);
  }
  for (int64_t i = 0; i < tile.per_group(); ++i)
    copy_rows<T>(queries, d, {dqs + i * queries * d, d}, tile.head(dq, i));
}

// dx (B*Tk x G*D) = the sums, in order, of the parts of each group; parts are (B*G*P x Tk x D).
template <class T>
void sum_parts(const AttentionShape& s, int64_t count, const T* parts, T* dx) {
  const int64_t d = s.head_dim;
  parallel_for(s.batch * s.key_length, 32, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t b = row / s.key_length, t = row % s.key_length;
        for (int64_t i = 0; i < s.key_value_heads * count; ++i) {
          const T* part = parts + ((b * s.key_value_heads * count + i) * s.key_length + t) * d;
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

}  // namespace

// A group's tiles are dealt out to parts, each with a dk and dv of its own, so that a small batch
// has work for every thread.
template <class T>
void attention_backward(const AttentionShape& s, const T* q, const T* k, const T* v, const T* out,
                        const T* dout, const T* lse, T* dq, T* dk, T* dv) {
  const int64_t groups = s.batch * s.key_value_heads, tiles = tile_count(s);
  const int64_t parts = std::clamp<int64_t>(kTasks / groups, 1, tiles);
  const int64_t numbers = s.key_length * s.head_dim;
  Tensor dk_parts = Tensor::zeros({groups * parts, numbers}, dtype_of<T>::value),
         dv_parts = Tensor::zeros({groups * parts, numbers}, dtype_of<T>::value);
  parallel_for(groups * parts, 1, [&](int64_t task, int64_t) {
    const int64_t group = task / parts;
    for (int64_t i = task % parts; i < tiles; i += parts) {
      const GroupTile<T> tile = group_tile<T>(s, group, i);
      tile_backward(tile, q, KeyRows<T>(s, k, tile.batch, tile.group),
                    KeyRows<T>(s, v, tile.batch, tile.group), out, dout, lse, dq,
                    dk_parts.template data<T>() + task * numbers,
                    dv_parts.template data<T>() + task * numbers);
    }
  });
  sum_parts(s, parts, dk_parts.template data<T>(), dk);
  sum_parts(s, parts, dv_parts.template data<T>(), dv);
}

template void attention_backward(const AttentionShape&, const float*, const float*, const float*,
                                 const float*, const float*, const float*, float*, float*, float*);
template void attention_backward(const AttentionShape&, const double*, const double*, const double*,
                                 const double*, const double*, const double*, double*, double*,
                                 double*);

}  // namespace halftone
