// Distances of hidden states on the GPU.
#include "halftone/ops/losses.h"

#include "tensor/cuda/rows.cuh"

namespace halftone::cuda {
namespace {

constexpr float kLeast = 1e-12f;  // of a norm that is divided by
constexpr int64_t kNumbers = 1 << 14;

struct RowProducts {
  float x_norm, t_norm, cosine;
};

template <int W, class T>
__device__ RowProducts row_products(int64_t c, const T* x, const T* t) {
  float xx = 0, tt = 0, xt = 0, a[W], b[W];
#pragma unroll 2
  for (int64_t j = lane_here() * W; j < c; j += kWarp * W) {
    read<W>(x + j, a);
    read<W>(t + j, b);
#pragma unroll
    for (int i = 0; i < W; ++i) {
      xx += a[i] * a[i];
      tt += b[i] * b[i];
      xt += a[i] * b[i];
    }
  }
  const float x_norm = fmaxf(sqrtf(warp_sum(xx)), kLeast),
              t_norm = fmaxf(sqrtf(warp_sum(tt)), kLeast);
  return {x_norm, t_norm, warp_sum(xt) / (x_norm * t_norm)};
}

template <int W, class T>
__global__ void __launch_bounds__(kRowThreads)
    normalised_distances(int64_t n, int64_t c, const T* x, const T* t, float* out) {
  const int64_t row = row_here();
  if (row >= n) return;
  x += row * c;
  t += row * c;
  const RowProducts p = row_products<W>(c, x, t);
  const float of_x = 1.0f / p.x_norm, of_t = 1.0f / p.t_norm;
  float sum = 0, a[W], b[W];
#pragma unroll 2
  for (int64_t j = lane_here() * W; j < c; j += kWarp * W) {
    read<W>(x + j, a);
    read<W>(t + j, b);
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const float d = a[i] * of_x - b[i] * of_t;
      sum += d * d;
    }
  }
  sum = warp_sum(sum);
  if (lane_here() == 0) out[row] = sum;
}

// (I - x^ x^^T)(x^ - t^) = cos x^ - t^ for unit vectors, cos = x^ . t^
template <int W, class T>
__global__ void __launch_bounds__(kRowThreads)
    normalised_back(int64_t n, int64_t c, const T* x, const T* t, const float* dy, float beta,
                    T* dx) {
  const int64_t row = row_here();
  if (row >= n) return;
  x += row * c;
  t += row * c;
  dx += row * c;
  const RowProducts p = row_products<W>(c, x, t);
  const float k = 2.0f * *dy / (p.x_norm * static_cast<float>(n));
  const float along = k * p.cosine / p.x_norm, against = k / p.t_norm;
  float a[W], b[W], old[W];
  for (int64_t j = lane_here() * W; j < c; j += kWarp * W) {
    read<W>(x + j, a);
    read<W>(t + j, b);
    if (beta != 0.0f) read<W>(dx + j, old);
#pragma unroll
    for (int i = 0; i < W; ++i)
      a[i] = along * a[i] - against * b[i] + (beta != 0.0f ? old[i] : 0.0f);
    write<W>(dx + j, a);
  }
}

// A block sums kNumbers squares, its threads' sums in a fixed tree.
template <class T>
__global__ void square_parts(int64_t n, const T* x, const T* t, float* parts) {
  __shared__ float warps[8];
  const int64_t begin = int64_t{blockIdx.x} * kNumbers, end = min(n, begin + kNumbers);
  float sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += 256) {
    const float d = wide(x[i]) - wide(t[i]);
    sum += d * d;
  }
  sum = warp_sum(sum);
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  float total = 0;
  for (const float part : warps) total += part;
  parts[blockIdx.x] = total;
}

template <class T>
__global__ void mse_back(int64_t n, const T* x, const T* t, const float* dy, T* dx) {
  const int64_t i = int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (i < n) dx[i] = narrow<T>(2.0f * *dy / static_cast<float>(n) * (wide(x[i]) - wide(t[i])));
}

// loss = mean of n parts' sum over `count`.
void mean_into(const Tensor& parts, int64_t count, Tensor& loss) {
  sum_in_order<<<1, 256, 0, stream()>>>(parts.numel(), numbers<float>(parts),
                                        1.0 / static_cast<double>(count), 0.0,
                                        numbers<float>(loss));
}

}  // namespace

void normalised_mse_forward(const Tensor& x, const Tensor& t, Tensor& loss) {
  const int64_t n = x.dim(0), c = x.dim(1);
  Tensor rows = Tensor::uninitialized({n}, DType::f32, Device::cuda);
  with_number(x.dtype(), "normalised_mse", [&]<class T>() {
    const T *xs = numbers<T>(x), *ts = numbers<T>(t);
    with_width(whole_packs(c, {xs, ts}), [&]<int W>() {
      normalised_distances<W><<<blocks_for(n, kRowWarps), kRowThreads, 0, stream()>>>(
          n, c, xs, ts, numbers<float>(rows));
    });
  });
  mean_into(rows, n, loss);
  check_launch("normalised_mse");
}

void normalised_mse_backward(const Tensor& x, const Tensor& t, const Tensor& dy, double beta,
                             Tensor& dx) {
  const int64_t n = x.dim(0), c = x.dim(1);
  with_number(x.dtype(), "normalised_mse", [&]<class T>() {
    const T *xs = numbers<T>(x), *ts = numbers<T>(t);
    T* out = numbers<T>(dx);
    with_width(whole_packs(c, {xs, ts, out}), [&]<int W>() {
      normalised_back<W><<<blocks_for(n, kRowWarps), kRowThreads, 0, stream()>>>(
          n, c, xs, ts, numbers<float>(dy), static_cast<float>(beta), out);
    });
  });
  check_launch("normalised_mse");
}

void mse_forward(const Tensor& x, const Tensor& t, Tensor& loss) {
  const int64_t n = x.numel();
  Tensor parts = Tensor::uninitialized({divide_up(n, kNumbers)}, DType::f32, Device::cuda);
  with_number(x.dtype(), "mse", [&]<class T>() {
    square_parts<<<blocks_for(n, kNumbers), 256, 0, stream()>>>(n, numbers<T>(x), numbers<T>(t),
                                                                numbers<float>(parts));
  });
  mean_into(parts, n, loss);
  check_launch("mse");
}

void mse_backward(const Tensor& x, const Tensor& t, const Tensor& dy, Tensor& dx) {
  with_number(x.dtype(), "mse", [&]<class T>() {
    mse_back<<<blocks_for(x.numel(), 256), 256, 0, stream()>>>(
        x.numel(), numbers<T>(x), numbers<T>(t), numbers<float>(dy), numbers<T>(dx));
  });
  check_launch("mse");
}

}  // namespace halftone::cuda
