// Kernels that treat a row at a time, a warp each: a lane takes W numbers next to each other (8 in
// words of 16 bytes where width and addresses allow it, else 1), then those 32 W further on.
#pragma once

#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {

template <int W, class T>
__device__ inline void read(const T* from, float* x) {
  if constexpr (W == 8) {
    const Pack<T> pack = load8(from);
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = wide(pack.at[i]);
  } else {
    x[0] = wide(*from);
  }
}

template <int W, class T>
__device__ inline void write(T* to, const float* x) {
  if constexpr (W == 8) {
    Pack<T> pack;
#pragma unroll
    for (int i = 0; i < 8; ++i) pack.at[i] = narrow<T>(x[i]);
    store8(to, pack);
  } else {
    *to = narrow<T>(x[0]);
  }
}

// The row of this warp, and its lane.
__device__ inline int64_t row_here() {
  return int64_t{blockIdx.x} * kRowWarps + threadIdx.x / kWarp;
}
__device__ inline int lane_here() {
  return static_cast<int>(threadIdx.x % kWarp);
}

// Runs body.template operator()<W>().
template <class Body>
void with_width(bool packs, const Body& body) {
  if (packs) return body.template operator()<8>();
  return body.template operator()<1>();
}

constexpr int kRowThreads = kRowWarps * kWarp;

}  // namespace halftone::cuda
