// The loops of the optimiser on the GPU.
#include "halftone/ops/adamw.h"

#include "halftone/tensor/device.h"
#include "tensor/cuda/rows.cuh"

namespace halftone::cuda {
namespace {

constexpr int kThreads = 256;

struct Factors {
  float clip, b1, b2, keep, rate, v_scale, eps;
};

// One step; flips (a count below 2^53, exact in any order) += signs that changed.
template <int W>
__global__ void update(int64_t n, Factors c, const float* grad, float* w, float* m, float* v,
                       double* flips) {
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * W;
  int flipped = 0;
  if (at < n) {
    float g[W], ws[W], ms[W], vs[W];
    read<W>(grad + at, g);
    read<W>(w + at, ws);
    read<W>(m + at, ms);
    read<W>(v + at, vs);
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const float gi = c.clip * g[i], before = ws[i];
      ms[i] = c.b1 * ms[i] + (1.0f - c.b1) * gi;
      vs[i] = c.b2 * vs[i] + (1.0f - c.b2) * gi * gi;
      ws[i] = c.keep * before - c.rate * ms[i] / (sqrtf(vs[i] * c.v_scale) + c.eps);
      flipped += (before >= 0.0f) != (ws[i] >= 0.0f);
    }
    write<W>(w + at, ws);
    write<W>(m + at, ms);
    write<W>(v + at, vs);
  }
  flipped = __reduce_add_sync(0xffffffffu, flipped);
  if (threadIdx.x % kWarp == 0 && flipped) atomicAdd(flips, static_cast<double>(flipped));
}

// Neighbouring numbers of one tensor.
struct Piece {
  const float* x;
  int64_t n;
};

// parts[piece] = the sum of its squares.
__global__ void square_parts(const Piece* pieces, float* parts) {
  __shared__ float warps[kThreads / kWarp];
  const Piece piece = pieces[blockIdx.x];
  float sum = 0;
  for (int64_t i = threadIdx.x; i < piece.n; i += kThreads) sum += piece.x[i] * piece.x[i];
  sum = warp_sum(sum);
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  float total = 0;
  for (const float part : warps) total += part;
  parts[blockIdx.x] = total;
}

}  // namespace

void adamw_update(const Tensor& grad, const AdamWCoefficients& c, Tensor& w, Tensor& m, Tensor& v,
                  Tensor& flips) {
  const Factors f{.clip = static_cast<float>(c.gradient),
                  .b1 = static_cast<float>(c.beta1),
                  .b2 = static_cast<float>(c.beta2),
                  .keep = static_cast<float>(c.keep),
                  .rate = static_cast<float>(c.rate),
                  .v_scale = static_cast<float>(c.v_scale),
                  .eps = static_cast<float>(c.epsilon)};
  const int64_t n = w.numel();
  const float* g = numbers<float>(grad);
  float *ws = numbers<float>(w), *ms = numbers<float>(m), *vs = numbers<float>(v);
  with_width(whole_packs(n, {g, ws, ms, vs}), [&]<int W>() {
    update<W><<<blocks_for(n, kThreads * W), kThreads, 0, stream()>>>(n, f, g, ws, ms, vs,
                                                                      numbers<double>(flips));
  });
  check_launch("adamw_update");
}

// All tensors in one launch: a model has hundreds, most of them small.
void block_sums_of_squares(const std::vector<Tensor>& xs, std::vector<double>& sums) {
  std::vector<Piece> pieces;
  for (const Tensor& x : xs)
    for (int64_t begin = 0; begin < x.numel(); begin += kUpdateBlock)
      pieces.push_back({numbers<float>(x) + begin, std::min(kUpdateBlock, x.numel() - begin)});
  const int64_t n = static_cast<int64_t>(pieces.size());
  const int64_t bytes = n * static_cast<int64_t>(sizeof(Piece));
  Tensor table = Tensor::uninitialized({bytes}, DType::u8, Device::cuda),
         parts = Tensor::uninitialized({n}, DType::f32, Device::cuda);
  copy(table.raw(), pieces.data(), static_cast<size_t>(bytes));
  square_parts<<<static_cast<unsigned>(n), kThreads, 0, stream()>>>(
      static_cast<const Piece*>(table.raw()), numbers<float>(parts));
  check_launch("block_sums_of_squares");
  const Tensor found = parts.to(Device::cpu);
  std::copy_n(found.data<float>(), n, sums.begin());
}

}  // namespace halftone::cuda
