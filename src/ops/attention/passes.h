// The two passes of attention, which tiles.h cuts up, and what they share.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "halftone/ops/attention.h"
#include "tensor/dispatch.h"

namespace halftone {

// lse (B*H x Tq): log2 sum_j 2^(s_j) of each query's scaled scores; without rows where it is not
// asked for. With s.stride, which the GPU alone has, q, k, v and their gradients are views of one
// tensor from their first number on.
HT_KERNEL(attention_forward, const AttentionShape& s, const Tensor& q, const Tensor& k,
          const Tensor& v, Tensor& out, Tensor& lse)
HT_KERNEL(attention_backward, const AttentionShape& s, const Tensor& q, const Tensor& k,
          const Tensor& v, const Tensor& out, const Tensor& lse, const Tensor& dout, Tensor& dq,
          Tensor& dk, Tensor& dv)

template <class T>
T score_scale(const AttentionShape& s) {
  return s.scale != 0 ? static_cast<T>(s.scale) : T(1) / std::sqrt(static_cast<T>(s.head_dim));
}

// What scores are multiplied by: softmax's exponentials are taken as powers of 2.
template <class T>
T binary_scale(const AttentionShape& s) {
  return s.scale != 0 ? std::numbers::log2e_v<T> * static_cast<T>(s.scale)
                      : std::numbers::log2e_v<T> / std::sqrt(static_cast<T>(s.head_dim));
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
