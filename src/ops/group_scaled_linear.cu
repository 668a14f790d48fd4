// Signs with a scale a row and group on the GPU.
#include "halftone/ops/group_scaled_linear.h"

#include "group_scaled_parts.h"
#include "halftone/tensor/gemm.h"
#include "ste.cuh"
#include "tensor/cuda/rows.cuh"

namespace halftone::cuda {
namespace {

constexpr int kThreads = 256;

// Of one linear: n numbers in groups of `width`; `from` is where they begin among those of all.
struct Part {
  const float *latent, *scale;
  float *dw, *dscale;
  int64_t from, n, width;
  float beta;
  Ste ste;
};
constexpr size_t kMostParts = 4;
struct Parts {
  Part at[kMostParts];
};

template <int W, class T>
__global__ void weights(Parts parts, T* m) {
  const Part& p = parts.at[blockIdx.y];
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * W;
  if (at >= p.n) return;
  float w[W];
  read<W>(p.latent + at, w);
  const float c = p.scale[at / p.width];
#pragma unroll
  for (int i = 0; i < W; ++i) w[i] = sign_of(w[i]) * c;
  write<W>(m + p.from + at, w);
}

// dW = beta dW + c D ste(W), dc = sum S D: a warp a group. dw may be d.
template <int W>
__global__ void __launch_bounds__(kRowThreads) unfold(Parts parts, const float* d) {
  const Part& p = parts.at[blockIdx.y];
  const int64_t group = row_here(), first = group * p.width;
  if (first >= p.n) return;
  d += p.from + first;
  const float *latent = p.latent + first, c = p.scale[group];
  float *dw = p.dw + first, sum = 0, ds[W], w[W], old[W];
  for (int64_t j = lane_here() * W; j < p.width; j += kWarp * W) {
    read<W>(d + j, ds);
    read<W>(latent + j, w);
    if (p.beta != 0.0f) read<W>(dw + j, old);
#pragma unroll
    for (int i = 0; i < W; ++i) {
      sum += sign_of(w[i]) * ds[i];
      ds[i] = c * ds[i] * ste_factor(p.ste, w[i]) + (p.beta != 0.0f ? p.beta * old[i] : 0.0f);
    }
    write<W>(dw + j, ds);
  }
  sum = warp_sum(sum);
  if (lane_here() == 0) p.dscale[group] = sum;
}

// Calls body(parts, how many, whether all are whole packs) for as many parts as a launch takes.
template <class Fill, class Body>
void in_launches(const std::vector<GroupScaledPart>& all, const Fill& fill, const Body& body) {
  int64_t from = 0;
  for (size_t first = 0; first < all.size(); first += kMostParts) {
    Parts parts{};
    bool packs = true;
    const size_t count = std::min(kMostParts, all.size() - first);
    for (size_t i = 0; i < count; ++i) {
      const Tensor &latent = all[first + i].latent, &scale = all[first + i].scale;
      Part& p = parts.at[i];
      p = {.latent = numbers<float>(latent),
           .scale = numbers<float>(scale),
           .from = from,
           .n = latent.numel(),
           .width = latent.dim(1) / scale.dim(1),
           .ste = all[first + i].ste};
      fill(first + i, p);
      packs &= whole_packs(p.width, {p.latent, p.dw});
      from += p.n;
    }
    body(parts, static_cast<unsigned>(count), packs);
  }
}

// The most that `of` is of a part.
template <class Of>
int64_t most(const std::vector<GroupScaledPart>& all, const Of& of) {
  int64_t out = 0;
  for (const GroupScaledPart& part : all) out = std::max<int64_t>(out, of(part).numel());
  return out;
}

}  // namespace

void group_scaled_weights(const std::vector<GroupScaledPart>& all, Tensor& w) {
  const int64_t n = most(all, [](const auto& p) -> const Tensor& { return p.latent; });
  const auto nothing = [](size_t, Part&) {};
  in_launches(all, nothing, [&](const Parts& parts, unsigned count, bool packs) {
    with_number(w.dtype(), "group_scaled_weight", [&]<class T>() {
      T* m = numbers<T>(w);
      with_width(packs && whole_packs(8, {m}), [&]<int W>() {
        weights<W><<<dim3(blocks_for(n, kThreads * W), count), kThreads, 0, stream()>>>(parts, m);
      });
    });
  });
  check_launch("group_scaled_weight");
}

void group_scaled_multiply(Transpose tw, const Tensor& x, const Tensor& latent, const Tensor& scale,
                           double beta, Tensor& y) {
  Tensor m = Tensor::uninitialized(latent.shape(), x.dtype(), Device::cuda);
  cuda::group_scaled_weights({{latent, scale}}, m);
  halftone::gemm(Transpose::no, tw, x, m, beta, y);
}

void group_scaled_unfold(const Tensor& d, const std::vector<GroupScaledPart>& all,
                         std::vector<GroupScaledGradients>& to) {
  const int64_t groups = most(all, [](const auto& p) -> const Tensor& { return p.scale; });
  const float* ds = numbers<float>(d);
  const auto fill = [&](size_t i, Part& p) {
    p.dw = numbers<float>(to[i].dw);
    p.dscale = numbers<float>(to[i].dscale);
    p.beta = static_cast<float>(to[i].beta);
  };
  in_launches(all, fill, [&](const Parts& parts, unsigned count, bool packs) {
    with_width(packs && whole_packs(8, {ds}), [&]<int W>() {
      unfold<W>
          <<<dim3(blocks_for(groups, kRowWarps), count), kRowThreads, 0, stream()>>>(parts, ds);
    });
  });
  check_launch("group_scaled_linear");
}

}  // namespace halftone::cuda
