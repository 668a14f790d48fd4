// Forward: softmax goes along with the blocks of keys, so no row of scores is ever whole.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "decode.h"
#include "halftone/tensor/tensor.h"
#include "ops/math.h"
#include "ops/row_math.h"
#include "passes.h"
#include "tiles.h"

namespace halftone {
namespace {

// What softmax knows of a row after some of its keys (Milakov and Gimelshein, 2018): the largest
// scaled score m, sum = sum_j 2^(s_j - m), and, elsewhere, out = sum_j 2^(s_j - m) v_j.
template <class T>
struct RunningRow {
  T largest = -std::numeric_limits<T>::infinity(), sum = 0;
};

// Takes in a row's next scores, of which its query sees those from `hidden` to `visible`: they
// become 2^(s - m), and what was summed before is scaled to the new m.
template <class T>
HT_INLINE inline void softmax_step(int64_t keys, int64_t hidden, int64_t visible, T scale, T* row,
                                   RunningRow<T>& running, int64_t d, T* out) {
  if (hidden >= keys) {  // there is no m yet
    std::fill_n(row, keys, T(0));
    return;
  }
  hide(keys, hidden, visible, row);
  const T largest = std::max(running.largest, row_max(keys, row) * scale);
  const T before = fast_exp2_negative(running.largest - largest);
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < keys; ++j) {
    const T e = fast_exp2_negative(row[j] * scale - largest);
    row[j] = e;
    sum += e;
  }
  for (int64_t j = 0; j < d; ++j) out[j] *= before;
  running = {largest, running.sum * before + sum};
}

// A row of the result from its sums, and log2 of its sum of powers.
template <class T>
HT_INLINE inline void write_row(int64_t d, const RunningRow<T>& running, const T* sums, T* out,
                                T* lse) {
  const T inverse = T(1) / running.sum;
  for (int64_t c = 0; c < d; ++c) out[c] = inverse * sums[c];
  if (lse) *lse = running.largest + std::log2(running.sum);
}

template <class T>
void tile_forward(const QueryTile& tile, const T* q, const KeyBlocks<T>& transposed_keys,
                  const KeyBlocks<T>& values, T* out, T* lse) {
  const int64_t d = tile.s.head_dim;
  const int64_t width = row_tile_width(tile.s);
  const T scale = binary_scale<T>(tile.s);
  const DType dtype = dtype_of<T>::value;
  Tensor row_tiles = Tensor::uninitialized({2 * kRowTileRows, kRowTileStride}, dtype),
         mixed = Tensor::zeros({QueryTile::kQueries, width}, dtype);
  T *queries = row_tiles.template data<T>(), *scores = queries + kRowTileRows * kRowTileStride,
    *sums = mixed.template data<T>();
  RunningRow<T> running[QueryTile::kQueries];
  const int64_t start = KeyBlocks<T>::begin(tile.hidden(0));
  for (int64_t key = start; key < tile.seen(); key += KeyBlocks<T>::kKeys) {
    const RowTileFactor<T>&block_keys = transposed_keys.at(tile.batch, tile.head, key),
          &block_values = values.at(tile.batch, tile.head, key);
    const int64_t keys = std::min(KeyBlocks<T>::kKeys, tile.s.key_length - key);
    for (int64_t first = 0; first < tile.queries; first += kRowTileRows) {
      const RowTile row_tile(tile, first, key, keys);
      if (row_tile.keys == 0) continue;
      if (key == start) fetch_next_row_tile(tile, first, q);
      const RowTileView<T> rows(tile, row_tile, first, q, queries);
      block_keys.multiply(row_tile.keys, d, rows.data(), rows.stride(), false, scores,
                          kRowTileStride);
      simd([&]() HT_INLINE {
        for (int64_t r = 0; r < row_tile.queries; ++r) {
          T* row = scores + r * kRowTileStride;
          softmax_step(row_tile.keys, tile.hidden(first + r) - key, tile.visible(first + r) - key,
                       scale, row, running[first + r], d, sums + (first + r) * width);
        }
      });
      block_values.multiply(d, row_tile.keys, scores, kRowTileStride, true, sums + first * width,
                            width);
    }
  }
  simd([&]() HT_INLINE {
    for (int64_t r = 0; r < tile.queries; ++r)
      write_row(d, running[r], sums + r * width, tile.row(out, r),
                lse ? tile.numbers(lse) + r : nullptr);
  });
}

bool is_decode(const AttentionShape& s) {
  return s.heads / s.key_value_heads * s.query_length < kDecodeRows &&
         s.head_dim % kDecodeLanes == 0;
}

// Rows [key, key + keys) of a head: as they lie, or F16 ones, whose rows lie together, widened.
const float* read_keys(const KeyRows<float>& rows, int64_t key, int64_t, int64_t, float*) {
  return rows.at(key);
}
const float* read_keys(const KeyRows<half_t>& rows, int64_t key, int64_t keys, int64_t d,
                       float* widened) {
  widen_halves(rows.at(key), widened, keys * d);
  return widened;
}

// All of it for few queries, as in generation: the heads of a group side by side, and nothing is
// packed. Keys and values are K, float or half.
template <class K>
void decode_forward(const AttentionShape& s, int64_t batch, int64_t group, const float* q,
                    const K* k, const K* v, float* out, float* lse) {
  constexpr int64_t kKeys = KeyBlocks<float>::kKeys;
  const int64_t d = s.head_dim, heads = s.heads / s.key_value_heads, rows = heads * s.query_length;
  const float scale = binary_scale<float>(s);
  const KeyRows<K> ks(s, k, batch, group), vs(s, v, batch, group);
  const bool half = std::is_same_v<K, half_t>;
  Tensor widened =
      Tensor::uninitialized({half ? std::min(kKeys, s.key_length) * d : 0}, DType::f32);
  float* room = widened.data<float>();
  Tensor transposed = Tensor::uninitialized({rows, d}, DType::f32),
         mixed = Tensor::zeros({rows, d}, DType::f32),
         block_scores = Tensor::uninitialized({rows, std::min(kKeys, s.key_length)}, DType::f32);
  float *qs = transposed.data<float>(), *sums = mixed.data<float>(),
        *scores = block_scores.data<float>();
  RunningRow<float> running[kDecodeRows];
  const auto tile = [&](int64_t r) {
    return QueryTile(s, batch, group * heads + r / s.query_length, 0);
  };
  simd([&]() HT_INLINE {
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(tile(r).row(q, r % s.query_length), d, qs + r * d);
    for (int64_t key = tile(0).hidden(0); key < s.key_length; key += kKeys) {
      const int64_t keys = std::min(kKeys, s.key_length - key);
      decode_scores(rows, keys, d, qs, read_keys(ks, key, keys, d, room), ks.stride, scores);
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t query = r % s.query_length;
        softmax_step(keys, tile(r).hidden(query) - key, tile(r).visible(query) - key, scale,
                     scores + r * keys, running[r], d, sums + r * d);
      }
      decode_outputs(rows, keys, d, scores, read_keys(vs, key, keys, d, room), vs.stride, sums);
    }
    for (int64_t r = 0; r < rows; ++r)
      write_row(d, running[r], sums + r * d, tile(r).row(out, r % s.query_length),
                lse ? tile(r).numbers(lse) + r % s.query_length : nullptr);
  });
}

template <class K>
void decode(const AttentionShape& s, const float* q, const K* k, const K* v, float* out,
            float* lse) {
  parallel_for(s.batch * s.key_value_heads, 1, [&](int64_t i, int64_t) {
    decode_forward(s, i / s.key_value_heads, i % s.key_value_heads, q, k, v, out, lse);
  });
}

template <class T>
void forward(const AttentionShape& s, const T* q, const T* k, const T* v, T* out, T* lse) {
  if constexpr (std::is_same_v<T, float>)
    if (is_decode(s)) return decode(s, q, k, v, out, lse);
  const KeyBlocks<T> transposed_keys(s, Transpose::yes, k), values(s, Transpose::no, v);
  const int64_t heads = s.batch * s.heads, tiles = QueryTile::count(s);
  parallel_for(heads * tiles, 1, [&](int64_t task, int64_t) {
    // The last tiles see the most keys: hand them out first.
    const int64_t head = task % heads, tile = tiles - 1 - task / heads;
    tile_forward(QueryTile(s, head / s.heads, head % s.heads, tile), q, transposed_keys, values,
                 out, lse);
  });
}

}  // namespace

void cpu::attention_forward(const AttentionShape& s, const Tensor& q, const Tensor& k,
                            const Tensor& v, Tensor& out, Tensor& lse) {
  if (k.dtype() == DType::f16) {
    if (!is_decode(s)) return attention_forward(s, q, k.to(DType::f32), v.to(DType::f32), out, lse);
    return decode(s, q.data<float>(), k.data<half_t>(), v.data<half_t>(), out.data<float>(),
                  lse.numel() ? lse.data<float>() : nullptr);
  }
  with_real(q.dtype(), "attention", [&]<class T>() {
    forward(s, q.data<T>(), k.data<T>(), v.data<T>(), out.data<T>(),
            lse.numel() ? lse.data<T>() : nullptr);
  });
}

}  // namespace halftone
