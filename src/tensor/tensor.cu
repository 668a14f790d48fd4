// Numbers set and converted on the GPU.
#include "halftone/tensor/tensor.h"

#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void fill_numbers(int64_t n, T value, T* to) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < n) to[i] = value;
}

template <class T>
void fill_with(Tensor& to, T value) {
  if (to.numel() == 0) return;
  fill_numbers<<<blocks_for(to.numel(), kThreads), kThreads, 0, stream()>>>(
      to.numel(), value, static_cast<T*>(to.raw()));
}

template <class From, class To>
__device__ To converted(From x) {
  if constexpr (std::is_same_v<From, double> || std::is_same_v<To, double>) {
    if constexpr (std::is_same_v<To, double>)
      return static_cast<double>(wide(x));
    else
      return narrow<To>(static_cast<float>(x));
  } else {
    return narrow<To>(wide(x));
  }
}

template <class From, class To>
__global__ void convert_numbers(int64_t n, const From* from, To* to) {
  const int64_t begin = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * 4;
#pragma unroll
  for (int64_t i = begin; i < begin + 4; ++i)
    if (i < n) to[i] = converted<From, To>(from[i]);
}

template <class Body>
void with_stored(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::f32:
      return body.template operator()<float>();
    case DType::f64:
      return body.template operator()<double>();
    case DType::bf16:
      return body.template operator()<bf16>();
    case DType::f16:
      return body.template operator()<__half>();
    default:
      throw std::invalid_argument(
          fmt::format("Tensor: {} has no conversion on cuda", dtype_name(dtype)));
  }
}

}  // namespace

void fill(Tensor& to, double value) {
  if (value == 0) {  // of any dtype that has a zero, all its bits
    check(cudaMemsetAsync(to.raw(), 0, to.bytes(), stream()), "fill");
    return;
  }
  switch (to.dtype()) {
    case DType::i32:
      fill_with(to, static_cast<int32_t>(value));
      break;
    case DType::i64:
      fill_with(to, static_cast<int64_t>(value));
      break;
    case DType::u8:
      fill_with(to, static_cast<uint8_t>(value));
      break;
    case DType::f64:
      fill_with(to, value);
      break;
    case DType::f32:
      fill_with(to, static_cast<float>(value));
      break;
    case DType::f16:
      fill_with(to, __float2half(static_cast<float>(value)));
      break;
    case DType::bf16:
      fill_with(to, __float2bfloat16(static_cast<float>(value)));
      break;
    case DType::q8_0:
      throw std::invalid_argument(fmt::format("Tensor::fill: dtype is {}", dtype_name(to.dtype())));
  }
  check_launch("fill");
}

void convert(const Tensor& from, Tensor& to) {
  const int64_t n = from.numel();
  if (n == 0) return;
  with_stored(from.dtype(), [&]<class From>() {
    with_stored(to.dtype(), [&]<class To>() {
      convert_numbers<<<blocks_for(n, 4 * kThreads), kThreads, 0, stream()>>>(
          n, static_cast<const From*>(from.raw()), static_cast<To*>(to.raw()));
    });
  });
  check_launch("convert");
}

}  // namespace halftone::cuda
