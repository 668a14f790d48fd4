#include "normalise_rows.cuh"

namespace halftone::cuda {
namespace {

template <int W, class T>
__global__ void __launch_bounds__(kRowThreads)
    normalise(int64_t n, int64_t c, const T* y, float eps, T* z, float* r) {
  const int64_t row = row_here();
  if (row >= n) return;
  const int lane = lane_here();
  y += row * c;
  z += row * c;
  float sum = 0, a[W];
  for (int64_t j = lane * W; j < c; j += kWarp * W) {
    read<W>(y + j, a);
#pragma unroll
    for (int i = 0; i < W; ++i) sum += a[i];
  }
  const float mean = warp_sum(sum) / static_cast<float>(c);
  float squares = 0;
  for (int64_t j = lane * W; j < c; j += kWarp * W) {
    read<W>(y + j, a);
#pragma unroll
    for (int i = 0; i < W; ++i) squares += (a[i] - mean) * (a[i] - mean);
  }
  const float factor = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(c) + eps);
  for (int64_t j = lane * W; j < c; j += kWarp * W) {
    read<W>(y + j, a);
#pragma unroll
    for (int i = 0; i < W; ++i) a[i] = (a[i] - mean) * factor;
    write<W>(z + j, a);
  }
  if (lane == 0) r[row] = factor;
}

template <int W, class T>
__global__ void __launch_bounds__(kRowThreads)
    normalise_back(int64_t n, int64_t c, const T* z, const float* r, const T* dz, T* dy) {
  const int64_t row = row_here();
  if (row >= n) return;
  const int lane = lane_here();
  z += row * c;
  dz += row * c;
  dy += row * c;
  float sum = 0, along = 0, a[W], d[W];
  for (int64_t j = lane * W; j < c; j += kWarp * W) {
    read<W>(z + j, a);
    read<W>(dz + j, d);
#pragma unroll
    for (int i = 0; i < W; ++i) {
      sum += d[i];
      along += d[i] * a[i];
    }
  }
  const float mean = warp_sum(sum) / static_cast<float>(c),
              slope = warp_sum(along) / static_cast<float>(c), factor = r[row];
  for (int64_t j = lane * W; j < c; j += kWarp * W) {
    read<W>(z + j, a);
    read<W>(dz + j, d);
#pragma unroll
    for (int i = 0; i < W; ++i) d[i] = factor * (d[i] - mean - a[i] * slope);
    write<W>(dy + j, d);
  }
}

}  // namespace

void normalise_rows(const Tensor& y, double eps, Tensor& z, Tensor& r) {
  const int64_t n = y.dim(0), c = y.dim(1);
  with_number(y.dtype(), "layer_norm", [&]<class T>() {
    const T* in = numbers<T>(y);
    T* out = numbers<T>(z);
    with_width(whole_packs(c, {in, out}), [&]<int W>() {
      normalise<W><<<blocks_for(n, kRowWarps), kRowThreads, 0, stream()>>>(
          n, c, in, static_cast<float>(eps), out, numbers<float>(r));
    });
  });
  check_launch("layer_norm");
}

void normalise_rows_backward(const Tensor& z, const Tensor& r, const Tensor& dz, Tensor& dy) {
  const int64_t n = z.dim(0), c = z.dim(1);
  with_number(dz.dtype(), "layer_norm", [&]<class T>() {
    const T *zs = numbers<T>(z), *in = numbers<T>(dz);
    T* out = numbers<T>(dy);
    with_width(whole_packs(c, {zs, in, out}), [&]<int W>() {
      normalise_back<W><<<blocks_for(n, kRowWarps), kRowThreads, 0, stream()>>>(
          n, c, zs, numbers<float>(r), in, out);
    });
  });
  check_launch("layer_norm");
}

}  // namespace halftone::cuda
