// Where the rows of a head lie, and which keys a query sees.
#pragma once

#include "passes.h"
#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {

struct Heads {
  int64_t batch, queries, keys, heads, groups, head_dim, capacity, window;
  int64_t query_stride, key_stride;  // from row to row of q, of k and v
  float scale, binary;

  __device__ int64_t query_row(int64_t b, int64_t i, int64_t h) const {
    return (b * queries + i) * query_stride + h * head_dim;
  }
  __device__ int64_t out_row(int64_t b, int64_t i, int64_t h) const {
    return ((b * queries + i) * heads + h) * head_dim;
  }
  __device__ int64_t key_row(int64_t b, int64_t j, int64_t g) const {
    return capacity ? ((b * groups + g) * capacity + j) * head_dim
                    : (b * keys + j) * key_stride + g * head_dim;
  }
  __device__ int64_t last_key(int64_t i) const { return keys - queries + i; }
  __device__ int64_t first_key(int64_t i) const {
    return window ? max(int64_t{0}, last_key(i) - window + 1) : 0;
  }
};

inline Heads heads_of(const AttentionShape& s) {
  return {s.batch,
          s.query_length,
          s.key_length,
          s.heads,
          s.key_value_heads,
          s.head_dim,
          s.key_capacity,
          s.window,
          s.stride ? s.stride : s.query_width(),
          s.stride ? s.stride : s.key_width(),
          score_scale<float>(s),
          binary_scale<float>(s)};
}

}  // namespace halftone::cuda
