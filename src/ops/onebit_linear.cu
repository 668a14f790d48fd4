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

// dW = beta dW + h g D ste(W); of a tile of kTile x kTile numbers the parts of dh = sum_i s g D (in
// column blockIdx.x of dh_parts) and of dg = sum_o s h D (in row blockIdx.y of dg_parts). A warp
// has every eighth row. dw may be d.
constexpr int kTile = 32;

__global__ void __launch_bounds__(kRowThreads)
    unfold(int64_t o, int64_t c, const float* d, const float* latent, const float* g,
           const float* h, Ste ste, float beta, float* dw, float* dh_parts, float* dg_parts) {
  __shared__ float sums[kRowWarps][kTile];
  const int lane = lane_here(), warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t j = int64_t{blockIdx.x} * kTile + lane, begin = int64_t{blockIdx.y} * kTile;
  const float gj = j < c ? g[j] : 0.0f;
  float dg = 0;
#pragma unroll
  for (int64_t k = begin + warp; k < begin + kTile; k += kRowWarps) {
    if (k >= o) break;
    float dh = 0;
    if (j < c) {
      const int64_t at = k * c + j;
      const float w = latent[at], dk = d[at], before = beta == 0.0f ? 0.0f : beta * dw[at],
                  signed_d = sign_of(w) * dk;
      dh = gj * signed_d;
      dg += h[k] * signed_d;
      dw[at] = before + h[k] * gj * dk * ste_factor(ste, w);
    }
    dh = warp_sum(dh);
    if (lane == 0) dh_parts[k * gridDim.x + blockIdx.x] = dh;
  }
  sums[warp][lane] = dg;
  __syncthreads();
  if (warp > 0 || j >= c) return;
  for (int i = 1; i < kRowWarps; ++i) dg += sums[i][lane];
  dg_parts[int64_t{blockIdx.y} * c + j] = dg;
}

// dh (o) and dg (c) from their parts, added in order: a thread each.
__global__ void add_parts(int64_t o, int64_t c, int64_t row_parts, int64_t column_parts,
                          const float* dh_parts, const float* dg_parts, float* dh, float* dg) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  float sum = 0;
  if (i < c) {
#pragma unroll 8
    for (int64_t p = 0; p < column_parts; ++p) sum += dg_parts[p * c + i];
    dg[i] = sum;
  } else if (i < c + o) {
#pragma unroll 8
    for (int64_t p = 0; p < row_parts; ++p) sum += dh_parts[(i - c) * row_parts + p];
    dh[i - c] = sum;
  }
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
                          Tensor& dg) {
  const int64_t o = d.dim(0), c = d.dim(1), rows = divide_up(o, kTile),
                columns = divide_up(c, kTile);
  Tensor dh_parts = Tensor::uninitialized({o, columns}, DType::f32, Device::cuda),
         dg_parts = Tensor::uninitialized({rows, c}, DType::f32, Device::cuda);
  unfold<<<dim3(static_cast<unsigned>(columns), static_cast<unsigned>(rows)), kRowThreads, 0,
           stream()>>>(o, c, numbers<float>(d), numbers<float>(latent), numbers<float>(in_scale),
                       numbers<float>(out_scale), ste, static_cast<float>(beta), numbers<float>(dw),
                       numbers<float>(dh_parts), numbers<float>(dg_parts));
  constexpr int kAddThreads = 64;
  add_parts<<<blocks_for(o + c, kAddThreads), kAddThreads, 0, stream()>>>(
      o, c, columns, rows, numbers<float>(dh_parts), numbers<float>(dg_parts), numbers<float>(dh),
      numbers<float>(dg));
  check_launch("onebit_linear");
}

}  // namespace halftone::cuda
