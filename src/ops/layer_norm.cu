// Layer normalisation on the GPU.
#include "halftone/ops/layer_norm.h"

#include "normalise_rows.cuh"
#include "tensor/cuda/elementwise.cuh"

namespace halftone::cuda {
namespace {

constexpr int64_t kPart = 64;  // rows whose part of the gain's gradient is summed at a time

template <int W, class T>
__global__ void affine(int64_t n, int64_t c, const T* z, const float* gain, const float* bias,
                       T* y) {
  const int64_t at = (int64_t{blockIdx.x} * kElementThreads + threadIdx.x) * W;
  if (at >= n * c) return;
  float x[W], g[W], b[W];
  read<W>(z + at, x);
  read<W>(gain + at % c, g);
  if (bias) read<W>(bias + at % c, b);
#pragma unroll
  for (int i = 0; i < W; ++i) x[i] = x[i] * g[i] + (bias ? b[i] : 0.0f);
  write<W>(y + at, x);
}

// y = z o gain + bias, which may be null.
void launch_affine(const Tensor& z, const Tensor& gain, const Tensor* bias, Tensor& y) {
  const int64_t n = z.dim(0), c = z.dim(1);
  with_number(z.dtype(), "layer_norm", [&]<class T>() {
    const T* in = numbers<T>(z);
    const float *g = numbers<float>(gain), *b = bias ? numbers<float>(*bias) : nullptr;
    T* out = numbers<T>(y);
    with_width(whole_packs(c, {in, g, b, out}), [&]<int W>() {
      affine<W><<<blocks_for(n * c, kElementThreads * W), kElementThreads, 0, stream()>>>(
          n, c, in, g, b, out);
    });
  });
  check_launch("layer_norm");
}

template <class T>
__global__ void gain_parts(int64_t n, int64_t c, const T* z, const T* dy, float* parts) {
  const int64_t j = int64_t{blockIdx.x} * 128 + threadIdx.x;
  if (j >= c) return;
  const int64_t begin = int64_t{blockIdx.y} * kPart, end = min(n, begin + kPart);
  float sum = 0;
  for (int64_t i = begin; i < end; ++i) sum += wide(dy[i * c + j]) * wide(z[i * c + j]);
  parts[int64_t{blockIdx.y} * c + j] = sum;
}

}  // namespace

void layer_norm_forward(const Tensor& x, double eps, Tensor& z, Tensor& r) {
  normalise_rows(x, eps, z, r);
}

void layer_norm_backward(const Tensor& z, const Tensor& r, const Tensor& dz, Tensor& dx) {
  normalise_rows_backward(z, r, dz, dx);
}

void affine_forward(const Tensor& z, const Tensor& gain, const Tensor& bias, Tensor& y) {
  launch_affine(z, gain, &bias, y);
}

void affine_backward(const Tensor&, const Tensor& gain, const Tensor& dy, Tensor& dz) {
  launch_affine(dy, gain, nullptr, dz);
}

void affine_gain_parts(const Tensor& z, const Tensor& dy, Tensor& parts) {
  const int64_t n = z.dim(0), c = z.dim(1);
  with_number(dy.dtype(), "layer_norm", [&]<class T>() {
    gain_parts<<<dim3(blocks_for(c, 128), blocks_for(n, kPart)), 128, 0, stream()>>>(
        n, c, numbers<T>(z), numbers<T>(dy), numbers<float>(parts));
  });
  check_launch("layer_norm");
}

}  // namespace halftone::cuda
