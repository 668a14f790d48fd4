// Rows into the cache of keys and values on the GPU.
#include "halftone/ops/key_values.h"

#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {
namespace {

template <class T, class Store>
__global__ void append(int64_t n, int64_t width, int64_t d, int64_t length, int64_t position,
                       int64_t capacity, const T* rows, Store* store) {
  const int64_t i = int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (i >= n) return;
  const int64_t row = i / width, g = i % width / d, heads = width / d;
  const int64_t place = (row / length * heads + g) * capacity + position + row % length;
  store[place * d + i % d] = narrow<Store>(wide(rows[i]));
}

}  // namespace

void append_key_values(const Tensor& rows, int64_t batch, int64_t position, int64_t capacity,
                       Tensor& store) {
  const int64_t n = rows.numel(), length = rows.dim(0) / batch;
  with_number(rows.dtype(), "append_key_values", [&]<class T>() {
    const auto run = [&]<class Store>(Store* to) {
      append<<<blocks_for(n, 256), 256, 0, stream()>>>(n, rows.dim(1), store.dim(1), length,
                                                       position, capacity, numbers<T>(rows), to);
    };
    if (store.dtype() == DType::f16) return run(numbers<__half>(store));
    run(numbers<T>(store));
  });
  check_launch("append_key_values");
}

}  // namespace halftone::cuda
