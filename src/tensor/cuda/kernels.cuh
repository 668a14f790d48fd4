// What the kernels of the GPU share: the queue that they run in, their numbers, sums over rows.
//
// Numbers of activations are F32 or BF16 (T below); arithmetic and sums are F32. Sums have a fixed
// order: no result depends on how threads are scheduled.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "halftone/base/rounding.h"
#include "halftone/tensor/tensor.h"

namespace halftone::cuda {

using bf16 = __nv_bfloat16;

// Everything is queued here, in the order of the calls.
cudaStream_t stream();

// Of the GPU in use.
int attribute(cudaDeviceAttr which);

// Throws std::runtime_error naming the kernel's file where `error` says so.
void check(cudaError_t error, const char* what);
// For what is launched by <<<>>>.
inline void check_launch(const char* kernel) {
  check(cudaGetLastError(), kernel);
}

inline unsigned blocks_for(int64_t n, int64_t each) {
  return static_cast<unsigned>(std::max<int64_t>(1, divide_up(n, each)));
}

// The tensor's numbers on the GPU; throws std::invalid_argument for another dtype or device.
void expect_here(const Tensor& x, DType dtype);

template <class T>
struct dtype_here {
  static constexpr DType value = dtype_of<T>::value;
};
template <>
struct dtype_here<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct dtype_here<__half> {
  static constexpr DType value = DType::f16;
};

template <class T>
const T* numbers(const Tensor& x) {
  expect_here(x, dtype_here<T>::value);
  return static_cast<const T*>(x.raw());
}
template <class T>
T* numbers(Tensor& x) {
  expect_here(x, dtype_here<T>::value);
  return static_cast<T*>(x.raw());
}
// Null where the tensor is undefined.
template <class T>
T* numbers_or_null(Tensor& x) {
  return x.defined() ? numbers<T>(x) : nullptr;
}

// Runs body.template operator()<T>() with T = float or bf16; throws std::invalid_argument, naming
// `what`, for any other dtype.
template <class Body>
void with_number(DType dtype, const char* what, const Body& body) {
  if (dtype == DType::f32) return body.template operator()<float>();
  if (dtype == DType::bf16) return body.template operator()<bf16>();
  throw std::invalid_argument(
      fmt::format("{}: dtype on cuda is {}, expected F32 or BF16", what, dtype_name(dtype)));
}

__device__ inline float wide(float x) {
  return x;
}
__device__ inline float wide(bf16 x) {
  return __bfloat162float(x);
}
__device__ inline float wide(__half x) {
  return __half2float(x);
}
template <class T>
__device__ inline T narrow(float x) {
  if constexpr (std::is_same_v<T, bf16>)
    return __float2bfloat16_rn(x);
  else if constexpr (std::is_same_v<T, __half>)
    return __float2half_rn(x);
  else
    return x;
}

// Eight numbers next to each other, read and written in words of 16 bytes.
template <class T>
struct alignas(16) Pack {
  T at[8];
};
template <class T>
__device__ inline Pack<T> load8(const T* from) {
  Pack<T> out;
#pragma unroll
  for (int i = 0; i < static_cast<int>(sizeof(out) / 16); ++i)
    reinterpret_cast<uint4*>(&out)[i] = reinterpret_cast<const uint4*>(from)[i];
  return out;
}
template <class T>
__device__ inline void store8(T* to, const Pack<T>& from) {
#pragma unroll
  for (int i = 0; i < static_cast<int>(sizeof(from) / 16); ++i)
    reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(&from)[i];
}

// Addresses and widths that load8 can read.
inline bool whole_packs(int64_t width, std::initializer_list<const void*> addresses) {
  for (const void* address : addresses)
    if (reinterpret_cast<uintptr_t>(address) % 16 != 0) return false;
  return width % 8 == 0;
}

__device__ inline float warp_sum(float x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}
__device__ inline float warp_max(float x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}

// out (one number) = k sum of n numbers, in F64, by one block of 256 threads in a fixed order.
template <class In, class Out>
__global__ void sum_in_order(int64_t n, const In* x, double k, double before, Out* out) {
  __shared__ double parts[256];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += 256) sum += static_cast<double>(x[i]);
  parts[threadIdx.x] = sum;
  __syncthreads();
  for (int step = 128; step > 0; step /= 2) {
    if (static_cast<int>(threadIdx.x) < step) parts[threadIdx.x] += parts[threadIdx.x + step];
    __syncthreads();
  }
  if (threadIdx.x == 0)
    *out =
        static_cast<Out>((before == 0 ? 0.0 : before * static_cast<double>(*out)) + k * parts[0]);
}

constexpr int kWarp = 32;
constexpr int kRowWarps = 8;  // rows that a block treats at a time, a warp each

}  // namespace halftone::cuda
