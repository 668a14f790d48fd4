// The OneBit layer on the GPU. The product is with M = h S g: made from the latent weights at each
// use, which costs O I numbers where scaling x and y would cost N (I + O). D = dy^T x gives the
// gradients of W, h and g without another pass over tokens.
#include "halftone/ops/onebit_linear.h"

#include "halftone/tensor/gemm.h"
#include "normalise_rows.cuh"
#include "ste.cuh"

namespace halftone::cuda {

void onebit_weight(const Tensor& latent, const Tensor& in_scale, const Tensor& out_scale,
                   Tensor& w);

namespace {

constexpr int kThreads = 256;
constexpr int64_t kOutputs = 32;  // rows of D whose part of dg is summed at a time

template <int W, class T>
__global__ void weight(int64_t o, int64_t c, const float* latent, const float* g, const float* h,
                       T* m) {
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * W;
  if (at >= o * c) return;
  float w[W], gs[W];
  read<W>(latent + at, w);
  read<W>(g + at % c, gs);
  const float row = h[at / c];
#pragma unroll
  for (int i = 0; i < W; ++i) w[i] = sign_of(w[i]) * row * gs[i];
  write<W>(m + at, w);
}

// dh_o = sum_i s g D, a warp a row.
template <int W>
__global__ void __launch_bounds__(kRowThreads)
    unfold_rows(int64_t o, int64_t c, const float* d, const float* latent, const float* g,
                float* dh) {
  const int64_t row = row_here();
  if (row >= o) return;
  d += row * c;
  latent += row * c;
  float sum = 0, ds[W], w[W], gs[W];
  for (int64_t j = lane_here() * W; j < c; j += kWarp * W) {
    read<W>(d + j, ds);
    read<W>(latent + j, w);
    read<W>(g + j, gs);
#pragma unroll
    for (int i = 0; i < W; ++i) sum += sign_of(w[i]) * gs[i] * ds[i];
  }
  sum = warp_sum(sum);
  if (lane_here() == 0) dh[row] = sum;
}

// dW = beta dW + h g D ste(W) and, by kOutputs rows, dg = sum_o s h D: a block has kOutputs rows of
// 32 columns, a warp every eighth row. dw may be d.
__global__ void unfold_columns(int64_t o, int64_t c, const float* d, const float* latent,
                               const float* g, const float* h, Ste ste, float beta, float* dw,
                               float* dg_parts) {
  __shared__ float sums[kRowWarps][kWarp];
  const int lane = lane_here(), warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t j = int64_t{blockIdx.x} * kWarp + lane;
  const int64_t begin = int64_t{blockIdx.y} * kOutputs, end = min(o, begin + kOutputs);
  float dg = 0;
  if (j < c) {
    const float gj = g[j];
#pragma unroll
    for (int64_t k = begin + warp; k < begin + kOutputs; k += kRowWarps) {
      if (k >= end) break;
      const int64_t at = k * c + j;
      const float w = latent[at], dk = d[at], before = beta == 0.0f ? 0.0f : beta * dw[at];
      dg += h[k] * sign_of(w) * dk;
      dw[at] = before + h[k] * gj * dk * ste_factor(ste, w);
    }
  }
  sums[warp][lane] = dg;
  __syncthreads();
  if (warp > 0 || j >= c) return;
  for (int i = 1; i < kRowWarps; ++i) dg += sums[i][lane];
  dg_parts[int64_t{blockIdx.y} * c + j] = dg;
}

Tensor weight_in(DType dtype, const Tensor& latent, const Tensor& in_scale,
                 const Tensor& out_scale) {
  Tensor m = Tensor::uninitialized(latent.shape(), dtype, Device::cuda);
  cuda::onebit_weight(latent, in_scale, out_scale, m);
  return m;
}

}  // namespace

void onebit_weight(const Tensor& latent, const Tensor& in_scale, const Tensor& out_scale,
                   Tensor& w) {
  const int64_t o = latent.dim(0), c = latent.dim(1);
  with_number(w.dtype(), "onebit_weight", [&]<class T>() {
    const float *s = numbers<float>(latent), *g = numbers<float>(in_scale);
    T* m = numbers<T>(w);
    with_width(whole_packs(c, {s, g, m}), [&]<int W>() {
      weight<W><<<blocks_for(o * c, kThreads * W), kThreads, 0, stream()>>>(
          o, c, s, g, numbers<float>(out_scale), m);
    });
  });
  check_launch("onebit_weight");
}

void onebit_linear_forward(const Tensor& x, const Tensor& latent, const Tensor& in_scale,
                           const Tensor& out_scale, const OneBitOptions& options, Tensor& z,
                           Tensor& r) {
  const Tensor m = weight_in(x.dtype(), latent, in_scale, out_scale);
  halftone::gemm(Transpose::no, Transpose::yes, x, m, 0, z);
  if (options.post_layer_norm) normalise_rows(z, options.eps, z, r);
}

void onebit_linear_backward(const Tensor& dz, const Tensor& z, const Tensor& r,
                            const Tensor& latent, const Tensor& in_scale, const Tensor& out_scale,
                            Tensor& dy, double beta, Tensor& dx) {
  if (r.defined()) normalise_rows_backward(z, r, dz, dy);
  if (!dx.defined()) return;
  const Tensor m = weight_in(dy.dtype(), latent, in_scale, out_scale);
  halftone::gemm(Transpose::no, Transpose::no, dy, m, beta, dx);
}

void onebit_linear_unfold(const Tensor& d, const Tensor& latent, const Tensor& in_scale,
                          const Tensor& out_scale, Ste ste, double beta, Tensor& dw, Tensor& dh,
                          Tensor& dg_parts) {
  const int64_t o = d.dim(0), c = d.dim(1);
  const float *ds = numbers<float>(d), *w = numbers<float>(latent), *g = numbers<float>(in_scale);
  with_width(whole_packs(c, {ds, w, g}), [&]<int W>() {
    unfold_rows<W><<<blocks_for(o, kRowWarps), kRowThreads, 0, stream()>>>(o, c, ds, w, g,
                                                                           numbers<float>(dh));
  });
  unfold_columns<<<dim3(blocks_for(c, kWarp), blocks_for(o, kOutputs)), kRowThreads, 0, stream()>>>(
      o, c, ds, w, g, numbers<float>(out_scale), ste, static_cast<float>(beta), numbers<float>(dw),
      numbers<float>(dg_parts));
  check_launch("onebit_linear");
}

}  // namespace halftone::cuda
