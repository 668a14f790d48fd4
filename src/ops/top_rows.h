// One row of student logits x against a teacher whose k likeliest ids K are known
// (top_log_probs.h); the other ids are one bucket, the tail. All are for use inside simd().
//
//   p_i as stored for i in K, p_tail = 1 - sum_K p_i; q = softmax(x / tau), q_tail = sum of q_j
//   outside K
//   KL = sum_K p_i (log p_i - log q_i) + p_tail (log p_tail - log q_tail)
//   tau dKL/dx_j = q_j - p_j inside K, q_j - p_tail q_j / q_tail outside
//
// By their rounding the stored p may sum to more than 1, and with K = V no tail makes up for less:
// they are divided by their sum then, so that KL stays a divergence.
#pragma once

#include <cmath>
#include <limits>

#include "halftone/base/half.h"
#include "logit_rows.h"

namespace halftone {

template <class T>
struct TopRow {
  int64_t k;
  const int32_t* ids;
  T *log_p, *p, *x;  // k numbers each; x: the student's logits at the ids
  T p_tail = 0;
  T lse_tail = 0, lse_x = 0;  // log-sum-exp of x / tau outside K, and of all
};

template <class T>
HT_INLINE inline void load_top_row(int64_t v, const half_t* stored, TopRow<T>& row) {
  for (int64_t i = 0; i < row.k; ++i) row.log_p[i] = static_cast<T>(to_float(stored[i]));
  for (int64_t i = 0; i < row.k; ++i) row.p[i] = fast_exp(row.log_p[i]);
  const T sum = row_sum(row.k, row.p);
  row.p_tail = T(1) - sum;
  if (row.k < v && sum <= T(1)) return;
  const T log_sum = std::log(sum);
  for (int64_t i = 0; i < row.k; ++i) {
    row.log_p[i] -= log_sum;
    row.p[i] /= sum;
  }
  row.p_tail = 0;
}

// Takes the logits at the ids out of x, which holds -infinity there until its gradient is written:
// the tail's log-sum-exp is one over the row then, not a difference that cancels.
template <class T>
HT_INLINE inline void take_top(int64_t v, T* x, T inverse_tau, TopRow<T>& row) {
  for (int64_t i = 0; i < row.k; ++i) {
    row.x[i] = x[row.ids[i]];
    x[row.ids[i]] = -std::numeric_limits<T>::infinity();
  }
  const T lse_top = log_sum_exp(row.k, row.x, inverse_tau);
  row.lse_tail = row.k < v ? log_sum_exp(v, x, inverse_tau) : -std::numeric_limits<T>::infinity();
  const T largest = lse_top > row.lse_tail ? lse_top : row.lse_tail;
  row.lse_x = largest + std::log(fast_exp(lse_top - largest) + fast_exp(row.lse_tail - largest));
}

template <class T>
HT_INLINE inline T top_kl_row(const TopRow<T>& row, T inverse_tau) {
  const T *p = row.p, *log_p = row.log_p, *x = row.x;
  const T lse_x = row.lse_x;
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < row.k; ++i) sum += p[i] * (log_p[i] - x[i] * inverse_tau + lse_x);
  if (row.p_tail > T(0)) sum += row.p_tail * (std::log(row.p_tail) - row.lse_tail + lse_x);
  return sum;
}

// x_j = factor tau dKL/dx_j + other(x_j), x as take_top left it; `other` is the gradient of another
// loss by its logit.
template <class T, class Other>
HT_INLINE inline void top_kl_row_gradient(int64_t v, const TopRow<T>& row, T inverse_tau, T factor,
                                          const Other& other, T* x) {
  const T lse_x = row.lse_x, lse_tail = row.lse_tail;
  // q_j - p_tail q_j / q_tail = (q_tail - p_tail) (q_j / q_tail): nothing here can overflow.
  const T tail = factor * (fast_exp(lse_tail - lse_x) - row.p_tail);
  if (row.k < v) {
#pragma omp simd
    for (int64_t j = 0; j < v; ++j)
      x[j] = tail * fast_exp(x[j] * inverse_tau - lse_tail) + other(x[j]);
  }
  for (int64_t i = 0; i < row.k; ++i)
    x[row.ids[i]] =
        factor * (fast_exp(row.x[i] * inverse_tau - lse_x) - row.p[i]) + other(row.x[i]);
}

}  // namespace halftone
