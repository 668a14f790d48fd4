// The OneBit layer on the GPU. The product is with M = h S g: made from the latent weights at each
// use, which costs O I numbers where scaling x and y would cost N (I + O). D = dy^T x gives the
// gradients of W, h and g without another pass over tokens.
#include "halftone/ops/onebit_linear.h"

#include "halftone/tensor/gemm.h"
#include "normalise_rows.cuh"
#include "onebit_parts.h"
#include "ste.cuh"

namespace halftone::cuda {
namespace {

constexpr int kThreads = 256;

// Of one layer; `row` is where its rows begin among those of all, `dh_parts` and `dg_parts` where
// its parts do.
struct Part {
  const float *latent, *g, *h;
  float *dw, *dh, *dg, *dh_parts, *dg_parts;
  int64_t row, o;
  float beta;
  Ste ste;
};
constexpr size_t kMostParts = 4;
struct Parts {
  Part at[kMostParts];
};

template <int W, class T>
__global__ void weights(Parts parts, int64_t c, T* m) {
  const Part& p = parts.at[blockIdx.y];
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * W;
  if (at >= p.o * c) return;
  float w[W], gs[W];
  read<W>(p.latent + at, w);
  read<W>(p.g + at % c, gs);
  const float row = p.h[at / c];
#pragma unroll
  for (int i = 0; i < W; ++i) w[i] = sign_of(w[i]) * row * gs[i];
  write<W>(m + p.row * c + at, w);
}

// dW = beta dW + h g D ste(W); of a tile of kTile x kTile numbers the parts of dh = sum_i s g D (in
// column blockIdx.x of dh_parts) and of dg = sum_o s h D (in row blockIdx.y of dg_parts). A warp
// has every eighth row. dw may be d.
constexpr int kTile = 32;

__global__ void __launch_bounds__(kRowThreads) unfold(Parts parts, int64_t c, const float* d) {
  __shared__ float sums[kRowWarps][kTile];
  const Part& p = parts.at[blockIdx.z];
  const int lane = lane_here(), warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t j = int64_t{blockIdx.x} * kTile + lane, begin = int64_t{blockIdx.y} * kTile;
  if (begin >= p.o) return;
  const float gj = j < c ? p.g[j] : 0.0f;
  float dg = 0;
#pragma unroll
  for (int64_t k = begin + warp; k < begin + kTile; k += kRowWarps) {
    if (k >= p.o) break;
    float dh = 0;
    if (j < c) {
      const int64_t at = k * c + j;
      const float w = p.latent[at], dk = d[p.row * c + at], hk = p.h[k],
                  before = p.beta == 0.0f ? 0.0f : p.beta * p.dw[at], signed_d = sign_of(w) * dk;
      dh = gj * signed_d;
      dg += hk * signed_d;
      p.dw[at] = before + hk * gj * dk * ste_factor(p.ste, w);
    }
    dh = warp_sum(dh);
    if (lane == 0) p.dh_parts[k * gridDim.x + blockIdx.x] = dh;
  }
  sums[warp][lane] = dg;
  __syncthreads();
  if (warp > 0 || j >= c) return;
  for (int i = 1; i < kRowWarps; ++i) dg += sums[i][lane];
  p.dg_parts[int64_t{blockIdx.y} * c + j] = dg;
}

// dg (c) and dh (o) from their parts, added in order: a thread each.
__global__ void add_parts(Parts parts, int64_t c, int64_t columns) {
  const Part& p = parts.at[blockIdx.y];
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x,
                rows = (p.o + kTile - 1) / kTile;
  float sum = 0;
  if (i < c) {
#pragma unroll 8
    for (int64_t k = 0; k < rows; ++k) sum += p.dg_parts[k * c + i];
    p.dg[i] = sum;
  } else if (i < c + p.o) {
#pragma unroll 8
    for (int64_t k = 0; k < columns; ++k) sum += p.dh_parts[(i - c) * columns + k];
    p.dh[i - c] = sum;
  }
}

// Calls body(parts, how many, the most rows that one has) for as many parts as a launch takes.
template <class Fill, class Body>
void in_launches(const std::vector<OneBitPart>& all, const Fill& fill, const Body& body) {
  int64_t row = 0;
  for (size_t first = 0; first < all.size(); first += kMostParts) {
    Parts parts{};
    int64_t most = 0;
    const size_t count = std::min(kMostParts, all.size() - first);
    for (size_t i = 0; i < count; ++i) {
      const OneBitPart& from = all[first + i];
      parts.at[i] = {.latent = numbers<float>(from.latent),
                     .g = numbers<float>(from.in_scale),
                     .h = numbers<float>(from.out_scale),
                     .row = row,
                     .o = from.latent.dim(0),
                     .ste = from.ste};
      fill(first + i, parts.at[i]);
      most = std::max(most, parts.at[i].o);
      row += parts.at[i].o;
    }
    body(parts, static_cast<unsigned>(count), most);
  }
}

Tensor weight_in(DType dtype, const Tensor& latent, const Tensor& in_scale,
                 const Tensor& out_scale) {
  Tensor m = Tensor::uninitialized(latent.shape(), dtype, Device::cuda);
  cuda::onebit_weights({{latent, in_scale, out_scale}}, m);
  return m;
}

}  // namespace

void onebit_weights(const std::vector<OneBitPart>& all, Tensor& w) {
  const int64_t c = w.dim(1);
  bool packs = true;
  const auto fill = [&](size_t, const Part& p) { packs &= whole_packs(c, {p.latent, p.g}); };
  in_launches(all, fill, [&](const Parts& parts, unsigned count, int64_t most) {
    with_number(w.dtype(), "onebit_weight", [&]<class T>() {
      T* m = numbers<T>(w);
      with_width(packs && whole_packs(c, {m}), [&]<int W>() {
        weights<W><<<dim3(blocks_for(most * c, kThreads * W), count), kThreads, 0, stream()>>>(
            parts, c, m);
      });
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

void onebit_unfold(const Tensor& d, const std::vector<OneBitPart>& all,
                   std::vector<OneBitGradients>& to) {
  const int64_t c = d.dim(1), columns = divide_up(c, kTile);
  std::vector<Tensor> held;
  const auto room = [&](int64_t rows, int64_t width) {
    held.push_back(Tensor::uninitialized({rows, width}, DType::f32, Device::cuda));
    return numbers<float>(held.back());
  };
  const auto fill = [&](size_t i, Part& p) {
    p.dw = numbers<float>(to[i].dw);
    p.dh = numbers<float>(to[i].dh);
    p.dg = numbers<float>(to[i].dg);
    p.dh_parts = room(p.o, columns);
    p.dg_parts = room(divide_up(p.o, kTile), c);
    p.beta = static_cast<float>(to[i].beta);
  };
  in_launches(all, fill, [&](const Parts& parts, unsigned count, int64_t most) {
    unfold<<<dim3(static_cast<unsigned>(columns), blocks_for(most, kTile), count), kRowThreads, 0,
             stream()>>>(parts, c, numbers<float>(d));
    constexpr int kAddThreads = 64;
    add_parts<<<dim3(blocks_for(most + c, kAddThreads), count), kAddThreads, 0, stream()>>>(
        parts, c, columns);
  });
  check_launch("onebit_linear");
}

}  // namespace halftone::cuda
