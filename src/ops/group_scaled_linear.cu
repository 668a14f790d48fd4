// Signs with a scale a row and group on the GPU.
#include "halftone/ops/group_scaled_linear.h"

#include "halftone/tensor/gemm.h"
#include "ste.cuh"
#include "tensor/cuda/rows.cuh"

namespace halftone::cuda {
namespace {

constexpr int kThreads = 256;

template <int W, class T>
__global__ void weight(int64_t n, int64_t width, const float* latent, const float* scale, T* m) {
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * W;
  if (at >= n) return;
  float w[W];
  read<W>(latent + at, w);
  const float c = scale[at / width];
#pragma unroll
  for (int i = 0; i < W; ++i) w[i] = sign_of(w[i]) * c;
  write<W>(m + at, w);
}

// dW = beta dW + c D ste(W), dc = sum S D: a warp a group. dw may be d.
template <int W>
__global__ void __launch_bounds__(kRowThreads)
    unfold(int64_t groups, int64_t width, const float* d, const float* latent, const float* scale,
           Ste ste, float beta, float* dw, float* dscale) {
  const int64_t group = row_here();
  if (group >= groups) return;
  d += group * width;
  latent += group * width;
  dw += group * width;
  const float c = scale[group];
  float sum = 0, ds[W], w[W], old[W];
  for (int64_t j = lane_here() * W; j < width; j += kWarp * W) {
    read<W>(d + j, ds);
    read<W>(latent + j, w);
    if (beta != 0.0f) read<W>(dw + j, old);
#pragma unroll
    for (int i = 0; i < W; ++i) {
      sum += sign_of(w[i]) * ds[i];
      ds[i] = c * ds[i] * ste_factor(ste, w[i]) + (beta != 0.0f ? beta * old[i] : 0.0f);
    }
    write<W>(dw + j, ds);
  }
  sum = warp_sum(sum);
  if (lane_here() == 0) dscale[group] = sum;
}

}  // namespace

void group_scaled_weight(const Tensor& latent, const Tensor& scale, Tensor& w) {
  const int64_t n = latent.numel(), width = latent.dim(1) / scale.dim(1);
  with_number(w.dtype(), "group_scaled_weight", [&]<class T>() {
    const float* s = numbers<float>(latent);
    T* m = numbers<T>(w);
    with_width(whole_packs(width, {s, m}), [&]<int W>() {
      weight<W><<<blocks_for(n, kThreads * W), kThreads, 0, stream()>>>(n, width, s,
                                                                        numbers<float>(scale), m);
    });
  });
  check_launch("group_scaled_weight");
}

void group_scaled_multiply(Transpose tw, const Tensor& x, const Tensor& latent, const Tensor& scale,
                           double beta, Tensor& y) {
  Tensor m = Tensor::uninitialized(latent.shape(), x.dtype(), Device::cuda);
  cuda::group_scaled_weight(latent, scale, m);
  halftone::gemm(Transpose::no, tw, x, m, beta, y);
}

void group_scaled_unfold(const Tensor& d, const Tensor& latent, const Tensor& scale, Ste ste,
                         double beta, Tensor& dw, Tensor& dscale) {
  const int64_t groups = scale.numel(), width = latent.dim(1) / scale.dim(1);
  const float *ds = numbers<float>(d), *w = numbers<float>(latent);
  float* out = numbers<float>(dw);
  with_width(whole_packs(width, {ds, w, out}), [&]<int W>() {
    unfold<W><<<blocks_for(groups, kRowWarps), kRowThreads, 0, stream()>>>(
        groups, width, ds, w, numbers<float>(scale), ste, static_cast<float>(beta), out,
        numbers<float>(dscale));
  });
  check_launch("group_scaled_linear");
}

}  // namespace halftone::cuda
