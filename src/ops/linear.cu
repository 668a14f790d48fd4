// Bias and column sums on the GPU.
#include "halftone/ops/linear.h"

#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {
namespace {

constexpr int kColumns = 32, kLanes = 32;  // of a block: columns, and rows that go side by side
constexpr int64_t kSplit = 1024;           // rows that a block sums at most

template <class T>
__global__ void add_bias_kernel(int64_t n, int64_t c, const float* bias, T* y) {
  const int64_t i = int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (i < n * c) y[i] = narrow<T>(wide(y[i]) + bias[i % c]);
}

// out[p] (c) = beta out[p] + the sums of the columns over rows [p split, (p + 1) split): each of 32
// lanes sums every 32nd row, and the lanes' sums are added in a fixed tree.
template <class T>
__global__ void column_sums(int64_t n, int64_t c, int64_t split, const T* x, float beta,
                            float* out) {
  __shared__ float parts[kLanes][kColumns + 1];
  const int64_t column = int64_t{blockIdx.x} * kColumns + threadIdx.x;
  const int64_t begin = int64_t{blockIdx.y} * split, end = min(n, begin + split);
  float sum = 0;
  if (column < c)
    for (int64_t i = begin + threadIdx.y; i < end; i += kLanes) sum += wide(x[i * c + column]);
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  // A warp adds the lanes of the column that its index names.
  const float total = warp_sum(parts[threadIdx.x][threadIdx.y]);
  const int64_t to = int64_t{blockIdx.x} * kColumns + threadIdx.y;
  if (threadIdx.x == 0 && to < c) {
    float* at = out + int64_t{blockIdx.y} * c + to;
    *at = (beta == 0.0f ? 0.0f : beta * *at) + total;
  }
}

template <class T>
void launch_column_sums(int64_t n, int64_t c, int64_t split, const T* x, float beta, float* out) {
  const dim3 grid(blocks_for(c, kColumns), blocks_for(n, split)), block(kColumns, kLanes);
  column_sums<<<grid, block, 0, stream()>>>(n, c, split, x, beta, out);
}

}  // namespace

void add_bias(const Tensor& bias, Tensor& y) {
  with_number(y.dtype(), "add_bias", [&]<class T>() {
    add_bias_kernel<<<blocks_for(y.numel(), 256), 256, 0, stream()>>>(
        y.dim(0), y.dim(1), numbers<float>(bias), numbers<T>(y));
  });
  check_launch("add_bias");
}

void add_column_sums(const Tensor& dy, Tensor& db, double beta) {
  const int64_t n = dy.dim(0), c = dy.dim(1);
  const float b = static_cast<float>(beta);
  with_number(dy.dtype(), "add_column_sums", [&]<class T>() {
    if (n <= kSplit) return launch_column_sums(n, c, kSplit, numbers<T>(dy), b, numbers<float>(db));
    Tensor parts = Tensor::uninitialized({divide_up(n, kSplit), c}, DType::f32, Device::cuda);
    launch_column_sums(n, c, kSplit, numbers<T>(dy), 0.0f, numbers<float>(parts));
    cuda::add_column_sums(parts, db, beta);
  });
  check_launch("add_column_sums");
}

}  // namespace halftone::cuda
