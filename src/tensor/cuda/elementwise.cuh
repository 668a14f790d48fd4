// Kernels that make number i from numbers i: eight at a time where the addresses allow it.
#pragma once

#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {

// f(const Pack<T>* in, Pack<T>* out) for numbers [8 i, 8 i + 8); the rest of n, and what is not
// aligned, one by one in the first place of the packs.
template <int kIn, int kOut, class T>
struct Streams {
  const T* in[kIn];
  T* out[kOut];
};

constexpr int kElementThreads = 256;

template <int kIn, int kOut, class T, class F>
__global__ void elementwise_kernel(int64_t n, bool packs, Streams<kIn, kOut, T> s, F f) {
  const int64_t i = int64_t{blockIdx.x} * kElementThreads + threadIdx.x;
  Pack<T> in[kIn], out[kOut];
  if (packs) {
    if (8 * i >= n) return;
#pragma unroll
    for (int k = 0; k < kIn; ++k) in[k] = load8(s.in[k] + 8 * i);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      float x[kIn], y[kOut];
#pragma unroll
      for (int k = 0; k < kIn; ++k) x[k] = wide(in[k].at[j]);
      f(x, y);
#pragma unroll
      for (int k = 0; k < kOut; ++k) out[k].at[j] = narrow<T>(y[k]);
    }
#pragma unroll
    for (int k = 0; k < kOut; ++k) store8(s.out[k] + 8 * i, out[k]);
    return;
  }
  if (i >= n) return;
  float x[kIn], y[kOut];
#pragma unroll
  for (int k = 0; k < kIn; ++k) x[k] = wide(s.in[k][i]);
  f(x, y);
#pragma unroll
  for (int k = 0; k < kOut; ++k) s.out[k][i] = narrow<T>(y[k]);
}

// out[k][i] = y[k] of f(x, y) with x[k] = in[k][i], for i < n. Outputs may be inputs.
template <int kIn, int kOut, class T, class F>
void elementwise(const char* what, int64_t n, const Streams<kIn, kOut, T>& s, const F& f) {
  if (n == 0) return;
  bool packs = n % 8 == 0;
  for (const T* x : s.in) packs &= whole_packs(8, {x});
  for (const T* y : s.out) packs &= whole_packs(8, {y});
  elementwise_kernel<<<blocks_for(packs ? n / 8 : n, kElementThreads), kElementThreads, 0,
                       stream()>>>(n, packs, s, f);
  check_launch(what);
}

}  // namespace halftone::cuda
