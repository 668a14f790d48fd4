// What the kernels of the matrix units share: where a head's rows lie, and what is done with scores
// while they are in registers (Sums of matrix_units.cuh).
#pragma once

#include "matrix_units.cuh"
#include "passes.h"
#include "visible.cuh"

namespace halftone::cuda {

template <int D>
struct Operands {
  const bf16 *q, *k, *v;
  const bf16* dout;
  const float *lse_in, *delta;
  bf16 *out, *dq, *dk, *dv;
  float* lse;

  // From row to row of q and dq, of k, v and their gradients, and of out and dout; and where the
  // rows of one head begin.
  int query_stride, key_stride, out_stride;
  __device__ int64_t query_at(const AttentionSizes& s, int b, int h) const {
    return int64_t{b} * s.queries * query_stride + h * D;
  }
  __device__ int64_t out_at(const AttentionSizes& s, int b, int h) const {
    return int64_t{b} * s.queries * out_stride + h * D;
  }
  __device__ int64_t key_at(const AttentionSizes& s, int b, int g) const {
    return int64_t{b} * s.keys * key_stride + g * D;
  }
  // Of lse and delta, which have a number for each query of each head.
  __device__ static int64_t number_of(const AttentionSizes& s, int b, int h, int query) {
    return (int64_t{b} * s.heads + h) * s.queries + query;
  }
};

__device__ inline float max_of_four(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ inline float sum_of_four(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

__device__ inline int lane() {
  return static_cast<int>(threadIdx.x) % kWarp;
}
template <int R>
__device__ inline int first_row() {  // of this warp in a block
  return static_cast<int>(threadIdx.x) / kWarp * 16 * R;
}
__device__ inline int row_of(int r, int i) {  // of sums c[r][..][2 i], from the warp's first row on
  return 16 * r + 8 * i + lane() / 4;
}
__device__ inline int column_of(int n, int j) {  // of sums c[..][n][j]
  return 8 * n + 2 * (lane() % 4) + j % 2;
}

// One step of the running softmax over the scores of 64 keys; they become its numerators.
template <int R, int D>
__device__ inline void softmax_step(const AttentionSizes& s, Sums<R, kTile>& p, float (&most)[R][2],
                                    float (&sum)[R][2], Sums<R, D>& out) {
#pragma unroll
  for (int r = 0; r < R; ++r) {
    float keep[2], base[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float largest = most[r][i];
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n)
        largest = fmaxf(largest, fmaxf(p[r][n][2 * i], p[r][n][2 * i + 1]));
      largest = max_of_four(largest);
      base[i] = largest == -INFINITY ? 0.0f : largest * s.binary;
      keep[i] = power_of_two(most[r][i] * s.binary - base[i]);
      most[r][i] = largest;
      sum[r][i] *= keep[i];
    }
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        p[r][n][j] = power_of_two(p[r][n][j] * s.binary - base[j / 2]);
        sum[r][j / 2] += p[r][n][j];
      }
#pragma unroll
    for (int n = 0; n < D / 8; ++n)
#pragma unroll
      for (int j = 0; j < 4; ++j) out[r][n][j] *= keep[j / 2];
  }
}

// Hides the scores of a row outside of the columns [begin, end) that seen(its number) gives.
template <int R, int N, class Seen>
__device__ inline void hide_but(Sums<R, N>& p, const Seen& seen) {
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      Range columns = seen(row_of(r, i));
      columns.begin -= column_of(0, 0);
      columns.end -= column_of(0, 0);
#pragma unroll
      for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int j = 2 * i; j < 2 * i + 2; ++j)
          if (8 * n + j % 2 < columns.begin || 8 * n + j % 2 >= columns.end) p[r][n][j] = -INFINITY;
    }
}

// Scores of queries in rows and keys in columns, of which some do not see each other; and of keys
// in rows and queries in columns. What lies beyond the last query or key is not looked at: its rows
// are zero, and its sums are not stored.
template <int R, int N>
__device__ inline void hide_keys(const AttentionSizes& s, int first_query, int first_key,
                                 Sums<R, N>& p) {
  hide_but<R, N>(p, [&](int row) {
    const int end = s.last_key(first_query + row) - first_key + 1;
    return Range{end - s.window, end};
  });
}
template <int R, int N>
__device__ inline void hide_queries(const AttentionSizes& s, int first_query, int first_key,
                                    Sums<R, N>& p) {
  hide_but<R, N>(p, [&](int row) {
    const int begin = first_key + row - s.last_key(first_query);
    return Range{begin, begin + s.window};
  });
}

// What softmax_step has added up over its sums, and lse, of queries from `row` on of head h in
// sequence b.
template <int R, int D>
__device__ inline void store_mixed(const AttentionSizes& s, const Operands<D>& o, int b, int h,
                                   int row, const float (&most)[R][2], float (&sum)[R][2],
                                   const Sums<R, D>& out) {
  float factors[R][2];
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      sum[r][i] = sum_of_four(sum[r][i]);
      factors[r][i] = 1.0f / sum[r][i];
    }
  store_rows<R, D>(out, factors, row, s.queries, o.out_stride, o.out + o.out_at(s, b, h));
  if (!o.lse || lane() % 4 != 0) return;
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int query = row + row_of(r, i);
      if (query < s.queries)
        o.lse[o.number_of(s, b, h, query)] = most[r][i] * s.binary + log2f(sum[r][i]);
    }
}

// The same queries' lse, and rowsum(dout o out).
template <int R, int D>
__device__ inline void read_statistics(const AttentionSizes& s, const Operands<D>& o, int b, int h,
                                       int row, float (&lse)[R][2], float (&delta)[R][2]) {
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int query = row + row_of(r, i);
      const int64_t number = o.number_of(s, b, h, query);
      lse[r][i] = query < s.queries ? o.lse_in[number] : INFINITY;
      delta[r][i] = query < s.queries ? o.delta[number] : 0.0f;
    }
}

inline AttentionSizes sizes_of(const AttentionShape& s) {
  const auto number = [](int64_t n) { return static_cast<int>(n); };
  return {number(s.query_length),
          number(s.key_length),
          number(s.heads),
          number(s.key_value_heads),
          s.window ? number(s.window) : kNoWindow,
          score_scale<float>(s),
          binary_scale<float>(s)};
}

// The strides of operands, which are set for themselves.
template <int D>
inline Operands<D> with_strides(const AttentionShape& s, Operands<D> o) {
  o.query_stride = static_cast<int>(s.stride ? s.stride : s.query_width());
  o.key_stride = static_cast<int>(s.stride ? s.stride : s.key_width());
  o.out_stride = static_cast<int>(s.query_width());
  return o;
}

template <int D>
Operands<D> forward_operands(const AttentionShape& s, const Tensor& q, const Tensor& k,
                             const Tensor& v, Tensor& out, Tensor& lse) {
  return with_strides<D>(s, {.q = numbers<bf16>(q),
                             .k = numbers<bf16>(k),
                             .v = numbers<bf16>(v),
                             .out = numbers<bf16>(out),
                             .lse = lse.numel() ? numbers<float>(lse) : nullptr});
}

template <int D>
Operands<D> backward_operands(const AttentionShape& s, const Tensor& q, const Tensor& k,
                              const Tensor& v, const Tensor& lse, const Tensor& delta,
                              const Tensor& dout, Tensor& dq, Tensor& dk, Tensor& dv) {
  return with_strides<D>(s, {.q = numbers<bf16>(q),
                             .k = numbers<bf16>(k),
                             .v = numbers<bf16>(v),
                             .dout = numbers<bf16>(dout),
                             .lse_in = numbers<float>(lse),
                             .delta = numbers<float>(delta),
                             .dq = numbers<bf16>(dq),
                             .dk = numbers<bf16>(dk),
                             .dv = numbers<bf16>(dv)});
}

template <class Body>
void with_head_dim(int64_t head_dim, const Body& body) {
  if (head_dim == 64) return body.template operator()<64>();
  return body.template operator()<128>();
}

}  // namespace halftone::cuda
