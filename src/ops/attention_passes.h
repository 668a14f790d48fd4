// The two passes of attention, and what they share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "halftone/base/simd.h"
#include "halftone/ops/attention.h"

namespace halftone {

// lse may be null.
template <class T>
void attention_forward(const AttentionShape& s, const T* q, const T* k, const T* v, T* out, T* lse);

template <class T>
void attention_backward(const AttentionShape& s, const T* q, const T* k, const T* v, const T* out,
                        const T* dout, const T* lse, T* dq, T* dk, T* dv);

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

// Scores of keys that a query does not see, `visible` of them seen: they weigh nothing, and whole
// vectors of them cost less than a loop's odd end.
template <class T>
HT_INLINE inline void hide(int64_t keys, int64_t visible, T* scores) {
  for (int64_t j = std::max<int64_t>(visible, 0); j < keys; ++j)
    scores[j] = -std::numeric_limits<T>::infinity();
}

}  // namespace halftone
