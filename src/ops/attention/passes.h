// The two passes of attention, and what they share.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "halftone/ops/attention.h"

namespace halftone {

// lse, log2 sum_j 2^(s_j) of each query's scaled scores, may be null.
template <class T>
void attention_forward(const AttentionShape& s, const T* q, const T* k, const T* v, T* out, T* lse);

template <class T>
void attention_backward(const AttentionShape& s, const T* q, const T* k, const T* v, const T* out,
                        const T* dout, const T* lse, T* dq, T* dk, T* dv);

// What scores are multiplied by: softmax's exponentials are taken as powers of 2.
template <class T>
T binary_scale(int64_t head_dim) {
  return std::numbers::log2e_v<T> / std::sqrt(static_cast<T>(head_dim));
}

// Keys or values of one head, rows `stride` apart.
template <class T>
struct KeyRows {
  const T* data;
  int64_t stride;

  KeyRows(const AttentionShape& s, const T* x, int64_t batch, int64_t group)
      : data(x + (s.key_capacity
                      ? (batch * s.key_value_heads + group) * s.key_capacity * s.head_dim
                      : (batch * s.key_length * s.key_value_heads + group) * s.head_dim)),
        stride(s.key_capacity ? s.head_dim : s.key_value_heads * s.head_dim) {}
  const T* at(int64_t key) const { return data + key * stride; }
};

}  // namespace halftone
