// One row of logits at a time: the arithmetic that logit_losses, head_loss and the evaluators
// share. All are for use inside simd().
#pragma once

#include <cmath>
#include <numbers>

#include "math.h"
#include "row_math.h"

namespace halftone {

// log sum_v exp(x_v / tau), without overflow.
template <class T>
HT_INLINE inline T log_sum_exp(int64_t v, const T* x, T inverse_tau) {
  const T largest = row_max(v, x), binary = inverse_tau * std::numbers::log2e_v<T>;
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < v; ++j) sum += fast_exp2_negative((x[j] - largest) * binary);
  return largest * inverse_tau + std::log(sum);
}

// sum_v p_v (log p_v - log q_v) for log p = t/tau - lse_t, log q = x/tau - lse_x.
template <class T>
HT_INLINE inline T kl_row(int64_t v, const T* x, const T* t, T lse_x, T lse_t, T inverse_tau) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < v; ++j)
    sum += fast_exp(t[j] * inverse_tau - lse_t) * ((t[j] - x[j]) * inverse_tau);
  return sum + lse_x - lse_t;
}

// d_v = k (q_v - p_v); d may be x.
template <class T>
HT_INLINE inline void kl_row_gradient(int64_t v, const T* x, const T* t, T lse_x, T lse_t,
                                      T inverse_tau, T k, T* d) {
#pragma omp simd
  for (int64_t j = 0; j < v; ++j)
    d[j] = k * (fast_exp(x[j] * inverse_tau - lse_x) - fast_exp(t[j] * inverse_tau - lse_t));
}

// What the rows' softmax is divided by, and their KL.
template <class T>
struct KlSums {
  T kl, sum_x, sum_t;
};

// The same KL with an exponential a logit: x and t become e^((x - max x)/tau), e^((t - max t)/tau).
template <class T>
HT_INLINE inline KlSums<T> kl_row_in_place(int64_t v, T* x, T* t, T inverse_tau) {
  const T most_x = row_max(v, x), most_t = row_max(v, t);
  const T binary = inverse_tau * std::numbers::log2e_v<T>;
  T sum_x = 0, sum_t = 0, along = 0;
#pragma omp simd reduction(+ : sum_x, sum_t, along)
  for (int64_t j = 0; j < v; ++j) {
    const T a = (x[j] - most_x) * binary, b = (t[j] - most_t) * binary;
    const T q = fast_exp2_negative(a), p = fast_exp2_negative(b);
    sum_x += q;
    sum_t += p;
    along += p * (b - a);
    x[j] = q;
    t[j] = p;
  }
  const T nats = std::numbers::ln2_v<T> * along;
  return {nats / sum_t + std::log(sum_x) - std::log(sum_t), sum_x, sum_t};
}

// d = k (q - p) from them; d may be x.
template <class T>
HT_INLINE inline void kl_row_gradient_in_place(int64_t v, const T* x, const T* t,
                                               const KlSums<T>& sums, T k, T* d) {
  const T k_x = k / sums.sum_x, k_t = k / sums.sum_t;
#pragma omp simd
  for (int64_t j = 0; j < v; ++j) d[j] = k_x * x[j] - k_t * t[j];
}

}  // namespace halftone
