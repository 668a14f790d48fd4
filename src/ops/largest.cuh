// The largest of a row's logits on the GPU, a block a row: the k-th is found by its bits, eight at
// a time, and of its equals the first ones are taken.
#pragma once

#include "tensor/cuda/rows.cuh"

namespace halftone::cuda {

constexpr int kLargestThreads = 512;

// Larger numbers have larger keys.
__device__ inline uint32_t key_of(float x) {
  const uint32_t bits = __float_as_uint(x);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Of all threads before this one, and in all.
struct Before {
  int mine, total;
};
__device__ inline Before count_before(int count) {
  __shared__ int warps[kLargestThreads / kWarp];
  const int lane = lane_here(), warp = static_cast<int>(threadIdx.x) / kWarp;
  int sum = count;
  for (int step = 1; step < kWarp; step *= 2) {
    const int other = __shfl_up_sync(0xffffffffu, sum, step);
    if (lane >= step) sum += other;
  }
  __syncthreads();
  if (lane == kWarp - 1) warps[warp] = sum;
  __syncthreads();
  int before = 0, total = 0;
  for (int w = 0; w < kLargestThreads / kWarp; ++w) {
    if (w < warp) before += warps[w];
    total += warps[w];
  }
  return {before + sum - count, total};
}

struct Threshold {
  uint32_t key;
  int above;  // numbers with a larger key
};

// The k-th largest key of a row.
template <class T>
__device__ Threshold kth_largest(int64_t v, const T* x, int k) {
  __shared__ int counts[256];
  __shared__ Threshold found;
  uint32_t prefix = 0;
  int above = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (int i = static_cast<int>(threadIdx.x); i < 256; i += kLargestThreads) counts[i] = 0;
    __syncthreads();
    for (int64_t j = threadIdx.x; j < v; j += kLargestThreads) {
      const uint32_t key = key_of(wide(x[j]));
      if (shift == 24 || key >> (shift + 8) == prefix >> (shift + 8))
        atomicAdd(&counts[key >> shift & 255u], 1);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int digit = 255, larger = above;
      while (larger + counts[digit] < k) larger += counts[digit--];
      found = {prefix | static_cast<uint32_t>(digit) << shift, larger};
    }
    __syncthreads();
    prefix = found.key;
    above = found.above;
    __syncthreads();
  }
  return {prefix, above};
}

}  // namespace halftone::cuda
