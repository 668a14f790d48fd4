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

constexpr int64_t kTileRows = 120;  // of scores: a multiple of the rows of sgemm's register tiles
constexpr int64_t kQueries = 64;    // of one head, a tile of backward
constexpr int64_t kKeys = 256;      // a tile, which so stays in the second-level cache

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

// Takes in the next `visible` of a row's scores: they become exp(s - m), those up to `keys` 0, and
// what was summed before is scaled to the new m.
template <class T>
HT_INLINE inline void softmax_step(int64_t keys, int64_t visible, T scale, T* row,
                                   RunningRow<T>& running, int64_t d, T* out) {
  const T largest = std::max(running.largest, row_max(visible, row) * scale);
  const T before = fast_exp(running.largest - largest);
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < visible; ++j) {
    const T e = fast_exp(row[j] * scale - largest);
    row[j] = e;
    sum += e;
  }
  for (int64_t j = visible; j < keys; ++j) row[j] = 0;
  for (int64_t j = 0; j < d; ++j) out[j] *= before;
  running = {largest, running.sum * before + sum};
}

// Scores p and dp = dO V^T of a row become the probabilities and the gradient at q k^T.
template <class T>
HT_INLINE inline void softmax_row_backward(int64_t keys, int64_t visible, T scale, T lse, T dot,
                                           T* p, T* dp) {
#pragma omp simd
  for (int64_t j = 0; j < visible; ++j) {
    const T e = fast_exp(p[j] * scale - lse);
    p[j] = e;
    dp[j] = scale * e * (dp[j] - dot);
  }
  for (int64_t j = visible; j < keys; ++j) p[j] = dp[j] = 0;
}

int64_t key_rows(const AttentionShape& s) {
  return s.key_capacity ? s.key_capacity : s.key_length;
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
  HeadRows<const T> head(const T* x, int64_t i) const {
    const auto h =
        head_rows(x, batch, s.query_length, s.heads, s.head_dim, group * per_group() + i);
    return {h.data + first * h.stride, h.stride};
  }
};

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
        const int64_t visible = std::clamp<int64_t>(tile.visible(r) - key, 0, keys);
        softmax_step(keys, visible, scale, scores + r * keys, running[r], d, sums + r * d);
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
  const int64_t groups = s.batch * s.key_value_heads;
  const int64_t most = std::max<int64_t>(kTileRows * s.key_value_heads / s.heads, 1);  // queries
  const int64_t tiles = (s.query_length + most - 1) / most;
  parallel_for(groups * tiles, 1, [&](int64_t task, int64_t) {
    // The last tiles see the most keys: hand them out first.
    const int64_t first = (tiles - 1 - task / groups) * most;
    const QueryTile<T> tile{s, task % groups / s.key_value_heads, task % s.key_value_heads, first,
                            std::min(most, s.query_length - first)};
    const auto keys_of = [&](const T* x) {
      return head_rows(x, tile.batch, key_rows(s), s.key_value_heads, s.head_dim, tile.group);
    };
    tile_forward(tile, q, keys_of(k), keys_of(v), out, lse);
  });
}

// Gradients of one query head: dq in place, dk and dv into this head's own (Tk x D) buffers.
template <class T>
void head_backward(const AttentionShape& s, int64_t b, int64_t h, const T* q, const T* k,
                   const T* v, const T* out, const T* dout, const T* lse, T* dq, T* dk, T* dv) {
  const int64_t d = s.head_dim, g = h / (s.heads / s.key_value_heads);
  const auto qh = head_rows(q, b, s.query_length, s.heads, d, h);
  const auto kh = head_rows(k, b, s.key_length, s.key_value_heads, d, g);
  const auto vh = head_rows(v, b, s.key_length, s.key_value_heads, d, g);
  const auto oh = head_rows(out, b, s.query_length, s.heads, d, h);
  const auto doh = head_rows(dout, b, s.query_length, s.heads, d, h);
  const auto dqh = head_rows(dq, b, s.query_length, s.heads, d, h);
  const T scale = T(1) / std::sqrt(static_cast<T>(d));
  const T* row_lse = lse + (b * s.heads + h) * s.query_length;
  Tensor p_tile = Tensor::uninitialized({kQueries, kKeys}, dtype_of<T>::value);
  Tensor dp_tile = Tensor::uninitialized({kQueries, kKeys}, dtype_of<T>::value);
  T *p = p_tile.template data<T>(), *dp = dp_tile.template data<T>();
  T dots[kQueries];
  std::fill_n(dk, s.key_length * d, T(0));
  std::fill_n(dv, s.key_length * d, T(0));
  for (int64_t first = 0; first < s.query_length; first += kQueries) {
    const int64_t rows = std::min(kQueries, s.query_length - first);
    const int64_t visible = s.key_length - s.query_length + first + 1, seen = visible + rows - 1;
    const T* q_rows = qh.data + first * qh.stride;
    const T* do_rows = doh.data + first * doh.stride;
    const T* o_rows = oh.data + first * oh.stride;
    simd([&]() HT_INLINE {
      for (int64_t r = 0; r < rows; ++r)
        dots[r] = row_dot(d, do_rows + r * doh.stride, o_rows + r * oh.stride);
    });
    for (int64_t key = 0; key < seen; key += kKeys) {
      const int64_t keys = std::min(kKeys, seen - key);
      const T *k_rows = kh.data + key * kh.stride, *v_rows = vh.data + key * vh.stride;
      gemm(Transpose::no, Transpose::yes, rows, keys, d, T(1), q_rows, qh.stride, k_rows, kh.stride,
           T(0), p, keys);
      gemm(Transpose::no, Transpose::yes, rows, keys, d, T(1), do_rows, doh.stride, v_rows,
           vh.stride, T(0), dp, keys);
      simd([&]() HT_INLINE {
        for (int64_t r = 0; r < rows; ++r)
          softmax_row_backward(keys, std::clamp<int64_t>(visible + r - key, 0, keys), scale,
                               row_lse[first + r], dots[r], p + r * keys, dp + r * keys);
      });
      gemm(Transpose::yes, Transpose::no, keys, d, rows, T(1), p, keys, do_rows, doh.stride, T(1),
           dv + key * d, d);
      gemm(Transpose::yes, Transpose::no, keys, d, rows, T(1), dp, keys, q_rows, qh.stride, T(1),
           dk + key * d, d);
      gemm(Transpose::no, Transpose::no, rows, d, keys, T(1), dp, keys, k_rows, kh.stride,
           key == 0 ? T(0) : T(1), dqh.data + first * dqh.stride, dqh.stride);
    }
  }
}

// dx (B*Tk x G*D) = sums, in order, of the query heads of each group; parts are (B*H x Tk x D).
template <class T>
void sum_groups(const AttentionShape& s, const T* parts, T* dx) {
  const int64_t d = s.head_dim, per_group = s.heads / s.key_value_heads;
  parallel_for(s.batch * s.key_length, 32, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t b = row / s.key_length, t = row % s.key_length;
        for (int64_t h = 0; h < s.heads; ++h) {
          const T* part = parts + ((b * s.heads + h) * s.key_length + t) * d;
          T* out = dx + (row * s.key_value_heads + h / per_group) * d;
          if (h % per_group == 0)
            for (int64_t j = 0; j < d; ++j) out[j] = part[j];
          else
            for (int64_t j = 0; j < d; ++j) out[j] += part[j];
        }
      }
    });
  });
}

template <class T>
void attention_backward(const AttentionShape& s, const T* q, const T* k, const T* v, const T* out,
                        const T* dout, const T* lse, T* dq, T* dk, T* dv) {
  const int64_t head_numbers = s.key_length * s.head_dim;
  Tensor dk_heads = Tensor::uninitialized({s.batch * s.heads, head_numbers}, dtype_of<T>::value);
  Tensor dv_heads = Tensor::uninitialized({s.batch * s.heads, head_numbers}, dtype_of<T>::value);
  T *dk_parts = dk_heads.template data<T>(), *dv_parts = dv_heads.template data<T>();
  parallel_for(s.batch * s.heads, 1, [&](int64_t task, int64_t) {
    head_backward(s, task / s.heads, task % s.heads, q, k, v, out, dout, lse, dq,
                  dk_parts + task * head_numbers, dv_parts + task * head_numbers);
  });
  sum_groups(s, dk_parts, dk);
  sum_groups(s, dv_parts, dv);
}

}  // namespace

Var attention(const Var& q, const Var& k, const Var& v, const AttentionShape& s) {
  require(s.key_value_heads > 0 && s.heads % s.key_value_heads == 0,
          "attention: {} heads, {} key-value heads", s.heads, s.key_value_heads);
  require(s.key_length >= s.query_length, "attention: {} queries, {} keys", s.query_length,
          s.key_length);
  const Shape q_shape{s.batch * s.query_length, s.heads * s.head_dim};
  const Shape k_shape{s.batch * key_rows(s), s.key_value_heads * s.head_dim};
  require(key_rows(s) >= s.key_length, "attention: {} keys in a cache of {}", s.key_length,
          s.key_capacity);
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
