#include "halftone/ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "halftone/base/threads.h"
#include "halftone/ops/few_rows.h"
#include "halftone/ops/math.h"
#include "halftone/ops/row_math.h"
#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

constexpr int64_t kTileRows = 128;  // of scores
constexpr int64_t kKeys = 256;      // a tile, which so stays in the second-level cache
constexpr int64_t kTasks = 12;      // of backward, where a batch has fewer groups

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

// What softmax knows of a row after some of its keys (Milakov and Gimelshein, 2018): the largest
// scaled score m, sum = sum_j exp(s_j - m), and out = sum_j exp(s_j - m) v_j.
template <class T>
struct RunningRow {
  T largest, sum;
};

// Keys that a query does not see weigh nothing; whole vectors of them cost less than a loop's odd
// end.
template <class T>
HT_INLINE inline void hide(int64_t keys, int64_t visible, T* scores) {
  for (int64_t j = visible; j < keys; ++j) scores[j] = -std::numeric_limits<T>::infinity();
}

// Takes in a row's next scores: they become exp(s - m), and what was summed before is scaled to the
// new m.
template <class T>
HT_INLINE inline void softmax_step(int64_t keys, T scale, T* row, RunningRow<T>& running, int64_t d,
                                   T* out) {
  const T largest = std::max(running.largest, row_max(keys, row) * scale);
  const T before = fast_exp_negative(running.largest - largest);
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < keys; ++j) {
    const T e = fast_exp_negative(row[j] * scale - largest);
    row[j] = e;
    sum += e;
  }
  for (int64_t j = 0; j < d; ++j) out[j] *= before;
  running = {largest, running.sum * before + sum};
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
struct QueryTile {
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
  HeadRows<const T> keys(const T* x) const {
    if (s.key_capacity)
      return {x + (batch * s.key_value_heads + group) * s.key_capacity * s.head_dim, s.head_dim};
    return head_rows(x, batch, s.key_length, s.key_value_heads, s.head_dim, group);
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
QueryTile<T> query_tile(const AttentionShape& s, int64_t group, int64_t index) {
  const int64_t queries = tile_queries(s), first = index * queries;
  return {s, group / s.key_value_heads, group % s.key_value_heads, first,
          std::min(queries, s.query_length - first)};
}

template <class T>
void tile_forward(const QueryTile<T>& tile, const T* q, HeadRows<const T> k, HeadRows<const T> v,
                  T* out, T* lse) {
  const AttentionShape& s = tile.s;
  const int64_t d = s.head_dim, rows = tile.rows(), queries = tile.queries;
  const int64_t seen = tile.visible(queries - 1);
  const T scale = T(1) / std::sqrt(static_cast<T>(d));
  const DType dtype = dtype_of<T>::value;
  Tensor turned = Tensor::uninitialized({rows, d}, dtype), mixed = Tensor::zeros({rows, d}, dtype),
         tile_scores = Tensor::uninitialized({rows, std::min(kKeys, seen)}, dtype);
  T *qs = turned.template data<T>(), *sums = mixed.template data<T>(),
    *scores = tile_scores.template data<T>();
  std::vector<RunningRow<T>> running(rows, {-std::numeric_limits<T>::infinity(), T(0)});
  for (int64_t i = 0; i < tile.per_group(); ++i)
    copy_rows<T>(queries, d, tile.head(q, i), {qs + i * queries * d, d});
  for (int64_t key = 0; key < seen; key += kKeys) {
    const int64_t keys = std::min(kKeys, seen - key);
    const HeadRows<const T> ks{k.data + key * k.stride, k.stride},
        vs{v.data + key * v.stride, v.stride};
    constexpr bool single = std::is_same_v<T, float>;
    const bool few = single && rows < kFewRows && d % kFewLanes == 0;
    if (!few)
      gemm(Transpose::no, Transpose::yes, rows, keys, d, T(1), qs, d, ks.data, ks.stride, T(0),
           scores, keys);
    simd([&]() HT_INLINE {
      if constexpr (single)
        if (few) few_scores(rows, keys, d, qs, ks.data, ks.stride, scores);
      for (int64_t r = 0; r < rows; ++r) {
        hide(keys, std::clamp<int64_t>(tile.visible(r) - key, 0, keys), scores + r * keys);
        softmax_step(keys, scale, scores + r * keys, running[r], d, sums + r * d);
      }
      if constexpr (single)
        if (few) few_outputs(rows, keys, d, scores, vs.data, vs.stride, sums);
    });
    if (!few)
      gemm(Transpose::no, Transpose::no, rows, d, keys, T(1), scores, keys, vs.data, vs.stride,
           T(1), sums, d);
  }
  simd([&]() HT_INLINE {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t head = tile.group * tile.per_group() + r / queries,
                    query = tile.first + r % queries;
      const T inverse = T(1) / running[r].sum;
      T* to = out + ((tile.batch * s.query_length + query) * s.heads + head) * d;
      for (int64_t c = 0; c < d; ++c) to[c] = inverse * sums[r * d + c];
      lse[(tile.batch * s.heads + head) * s.query_length + query] =
          running[r].largest + std::log(running[r].sum);
    }
  });
}

template <class T>
void attention_forward(const AttentionShape& s, const T* q, const T* k, const T* v, T* out,
                       T* lse) {
  const int64_t groups = s.batch * s.key_value_heads, tiles = tile_count(s);
  parallel_for(groups * tiles, 1, [&](int64_t task, int64_t) {
    // The last tiles see the most keys: hand them out first.
    const QueryTile<T> tile = query_tile<T>(s, task % groups, tiles - 1 - task / groups);
    tile_forward(tile, q, tile.keys(k), tile.keys(v), out, lse);
  });
}

// Gradients of one tile: its rows of dq, and its part of dk and dv (Tk x D each), added.
template <class T>
void tile_backward(const QueryTile<T>& tile, const T* q, HeadRows<const T> k, HeadRows<const T> v,
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
    const T *ks = k.data + key * k.stride, *vs = v.data + key * v.stride;
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
      const QueryTile<T> tile = query_tile<T>(s, group, i);
      tile_backward(tile, q, tile.keys(k), tile.keys(v), out, dout, lse, dq,
                    dk_parts.template data<T>() + task * numbers,
                    dv_parts.template data<T>() + task * numbers);
    }
  });
  sum_parts(s, parts, dk_parts.template data<T>(), dk);
  sum_parts(s, parts, dv_parts.template data<T>(), dv);
}

}  // namespace

Var attention(const Var& q, const Var& k, const Var& v, const AttentionShape& s) {
  require(s.key_value_heads > 0 && s.heads % s.key_value_heads == 0,
          "attention: {} heads, {} key-value heads", s.heads, s.key_value_heads);
  require(s.key_length >= s.query_length, "attention: {} queries, {} keys", s.query_length,
          s.key_length);
  const Shape q_shape{s.batch * s.query_length, s.heads * s.head_dim};
  const Shape k_shape = s.key_capacity
                            ? Shape{s.batch * s.key_value_heads * s.key_capacity, s.head_dim}
                            : Shape{s.batch * s.key_length, s.key_value_heads * s.head_dim};
  require(!s.key_capacity || s.key_capacity >= s.key_length, "attention: {} keys in a cache of {}",
          s.key_length, s.key_capacity);
  require(!s.key_capacity || !(q.needs_grad() || k.needs_grad() || v.needs_grad()),
          "attention: a cache has no gradient");
  require(q.shape() == q_shape && k.shape() == k_shape && v.shape() == k_shape,
          "attention: q {}, k {}, v {}, expected {} and {}", shape_text(q.shape()),
          shape_text(k.shape()), shape_text(v.shape()), shape_text(q_shape), shape_text(k_shape));
  Tensor out = Tensor::uninitialized(q_shape, q.dtype());
  Tensor lse = Tensor::uninitialized({s.batch * s.heads, s.query_length}, q.dtype());
  with_real(q.dtype(), "attention", [&]<class T>() {
    attention_forward(s, q.value().data<T>(), k.value().data<T>(), v.value().data<T>(),
                      out.data<T>(), lse.data<T>());
  });
  return q.tape().record("attention", {q, k, v}, out, [=](const Tensor& dout) {
    Tensor dq = Tensor::uninitialized(q_shape, dout.dtype());
    Tensor dk = Tensor::uninitialized(k_shape, dout.dtype()),
           dv = Tensor::uninitialized(k_shape, dout.dtype());
    with_real(dout.dtype(), "attention", [&]<class T>() {
      attention_backward(s, q.value().data<T>(), k.value().data<T>(), v.value().data<T>(),
                         out.data<T>(), dout.data<T>(), lse.data<T>(), dq.data<T>(), dk.data<T>(),
                         dv.data<T>());
    });
    if (q.needs_grad()) q.add_grad(dq);
    if (k.needs_grad()) k.add_grad(dk);
    if (v.needs_grad()) v.add_grad(dv);
  });
}

}  // namespace halftone
