// One row of logits at a time on the GPU, a block each: sums of exponentials in one pass.
#pragma once

#include "tensor/cuda/rows.cuh"

namespace halftone::cuda {

constexpr int kLogitThreads = 512;

// e^x in two instructions: its relative error is a few 2^-24 times 1 + |x|.
__device__ inline float quick_exp(float x) {
  return __expf(x);
}

// sum_j e^(x_j - most), and beside it, where it is asked for, sum_j e^(x_j - most) y_j.
struct ExpSum {
  float most = -INFINITY, sum = 0, along = 0;

  __device__ float log() const { return most + logf(sum); }
};

__device__ inline ExpSum merged(const ExpSum& a, const ExpSum& b) {
  if (a.most == -INFINITY) return b;
  if (b.most == -INFINITY) return a;
  const float most = fmaxf(a.most, b.most), ea = quick_exp(a.most - most),
              eb = quick_exp(b.most - most);
  return {most, a.sum * ea + b.sum * eb, a.along * ea + b.along * eb};
}

// Takes in W numbers x, with weights y unless they are null.
template <int W>
__device__ inline void take(ExpSum& s, const float* x, const float* y) {
  float most = s.most;
#pragma unroll
  for (int i = 0; i < W; ++i) most = fmaxf(most, x[i]);
  if (most == -INFINITY) return;
  if (most > s.most) {
    const float before = quick_exp(s.most - most);
    s.sum *= before;
    s.along *= before;
    s.most = most;
  }
#pragma unroll
  for (int i = 0; i < W; ++i) {
    const float e = quick_exp(x[i] - most);
    s.sum += e;
    if (y) s.along += e * y[i];
  }
}

// Of all threads of a block of kLogitThreads, in a fixed tree; all get it.
__device__ inline ExpSum over_block(ExpSum s) {
  __shared__ ExpSum parts[kLogitThreads / kWarp];
  for (int step = 16; step > 0; step /= 2) {
    const ExpSum other{__shfl_xor_sync(0xffffffffu, s.most, step),
                       __shfl_xor_sync(0xffffffffu, s.sum, step),
                       __shfl_xor_sync(0xffffffffu, s.along, step)};
    // The lower lane's first, so that both lanes of a pair hold the same bits.
    s = lane_here() & step ? merged(other, s) : merged(s, other);
  }
  __syncthreads();  // what an earlier call left is read
  if (lane_here() == 0) parts[threadIdx.x / kWarp] = s;
  __syncthreads();
  ExpSum total = parts[0];
  for (int w = 1; w < kLogitThreads / kWarp; ++w) total = merged(total, parts[w]);
  return total;
}

}  // namespace halftone::cuda
