// Rows of a table on the GPU. Rows of one token are added in the order of the tokens: they are
// sorted by token first, which keeps that order, and a block adds all rows of one.
#include "halftone/ops/embedding.h"

#include <cub/device/device_radix_sort.cuh>

#include "tensor/cuda/rows.cuh"

namespace halftone::cuda {
namespace {

constexpr int kThreads = 128;

template <int W, class Table, class T>
__global__ void gather(int64_t n, int64_t c, const int32_t* ids, const Table* table, T* y) {
  const int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * W;
  if (i >= n * c) return;
  float x[W];
  read<W>(table + ids[i / c] * c + i % c, x);
  write<W>(y + i, x);
}

template <class Table, class T>
void launch_gather(int64_t n, int64_t c, const int32_t* ids, const Table* table, T* y) {
  with_width(whole_packs(c, {table, y}), [&]<int W>() {
    gather<W><<<blocks_for(n * c, kThreads * W), kThreads, 0, stream()>>>(n, c, ids, table, y);
  });
}

__global__ void count_up(int n, int32_t* to) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i < n) to[i] = i;
}

// A block a sorted row: the first of a token adds all of them, its columns shared out.
template <class T>
__global__ void add_sorted_rows(int n, int64_t c, const int32_t* tokens, const int32_t* rows,
                                const T* dy, float* dw) {
  const int first = static_cast<int>(blockIdx.x), token = tokens[first];
  if (first > 0 && tokens[first - 1] == token) return;
  int end = first + 1;
  while (end < n && tokens[end] == token) ++end;
  for (int64_t j = threadIdx.x; j < c; j += kThreads) {
    float sum = dw[token * c + j];
    for (int i = first; i < end; ++i) sum += wide(dy[rows[i] * c + j]);
    dw[token * c + j] = sum;
  }
}

template <class T>
__global__ void add_positions_kernel(int64_t n, int64_t c, int64_t length, const T* x,
                                     const float* table, T* y) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < n * c) y[i] = narrow<T>(wide(x[i]) + table[i / c % length * c + i % c]);
}

// dW rows += the sum over sequences, in their order.
template <class T>
__global__ void add_position_rows(int64_t batch, int64_t length, int64_t c, const T* dy,
                                  float* dw) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= length * c) return;
  float sum = dw[i];
  for (int64_t b = 0; b < batch; ++b) sum += wide(dy[b * length * c + i]);
  dw[i] = sum;
}

}  // namespace

void embedding_forward(const Tensor& ids, const Tensor& weight, Tensor& y) {
  const int64_t n = y.dim(0), c = y.dim(1);
  const int32_t* id = numbers<int32_t>(ids);
  if (weight.dtype() == DType::f16)
    launch_gather(n, c, id, numbers<__half>(weight), numbers<float>(y));
  else
    with_number(y.dtype(), "embedding",
                [&]<class T>() { launch_gather(n, c, id, numbers<T>(weight), numbers<T>(y)); });
  check_launch("embedding");
}

void embedding_backward(const Tensor& ids, const Tensor& dy, Tensor& dw) {
  const int n = static_cast<int>(ids.numel());
  if (n == 0) return;
  Tensor order = Tensor::uninitialized({n}, DType::i32, Device::cuda);
  count_up<<<blocks_for(n, kThreads), kThreads, 0, stream()>>>(n, numbers<int32_t>(order));
  Tensor tokens = order.like(), rows = order.like();
  size_t bytes = 0;
  const auto sort = [&](void* room) {
    check(cub::DeviceRadixSort::SortPairs(room, bytes, numbers<int32_t>(ids),
                                          numbers<int32_t>(tokens), numbers<int32_t>(order),
                                          numbers<int32_t>(rows), n, 0, 32, stream()),
          "embedding");
  };
  sort(nullptr);
  Tensor room = Tensor::uninitialized({static_cast<int64_t>(bytes)}, DType::u8, Device::cuda);
  sort(room.raw());
  with_number(dy.dtype(), "embedding", [&]<class T>() {
    add_sorted_rows<<<static_cast<unsigned>(n), kThreads, 0, stream()>>>(
        n, dy.dim(1), numbers<int32_t>(tokens), numbers<int32_t>(rows), numbers<T>(dy),
        numbers<float>(dw));
  });
  check_launch("embedding");
}

void add_positions_forward(const Tensor& x, const Tensor& weight, int64_t length, int64_t first_row,
                           Tensor& y) {
  const Tensor table = weight.rows(first_row, first_row + length).to(DType::f32);
  with_number(x.dtype(), "add_positions", [&]<class T>() {
    add_positions_kernel<<<blocks_for(x.numel(), kThreads), kThreads, 0, stream()>>>(
        x.dim(0), x.dim(1), length, numbers<T>(x), numbers<float>(table), numbers<T>(y));
  });
  check_launch("add_positions");
}

void add_positions_backward(const Tensor& dy, int64_t length, int64_t first_row, Tensor& dw) {
  Tensor rows = dw.rows(first_row, first_row + length);
  with_number(dy.dtype(), "add_positions", [&]<class T>() {
    add_position_rows<<<blocks_for(rows.numel(), kThreads), kThreads, 0, stream()>>>(
        dy.dim(0) / length, length, dy.dim(1), numbers<T>(dy), numbers<float>(rows));
  });
  check_launch("add_positions");
}

}  // namespace halftone::cuda
