// The loops of the optimiser on the GPU.
#include "halftone/ops/adamw.h"

#include "halftone/tensor/device.h"
#include "tensor/cuda/rows.cuh"

namespace halftone::cuda {
namespace {

constexpr int kThreads = 256;

struct Factors {
  float clip, b1, b2, v_scale, eps;
};

// A parameter; blocks from `first` on have its numbers, kUpdateBlock each.
struct Numbers {
  const float* grad;
  float *w, *m, *v;
  int64_t n;
  int first;
  float keep, rate;
  bool counted, packs;
};

// One step on W numbers; how many changed their sign.
template <int W>
__device__ int step(const Numbers& x, int64_t at, const Factors& c) {
  int flipped = 0;
  float g[W], w[W], m[W], v[W];
  read<W>(x.grad + at, g);
  read<W>(x.w + at, w);
  read<W>(x.m + at, m);
  read<W>(x.v + at, v);
#pragma unroll
  for (int i = 0; i < W; ++i) {
    const float gi = c.clip * g[i], before = w[i];
    m[i] = c.b1 * m[i] + (1.0f - c.b1) * gi;
    v[i] = c.b2 * v[i] + (1.0f - c.b2) * gi * gi;
    w[i] = x.keep * before - x.rate * m[i] / (sqrtf(v[i] * c.v_scale) + c.eps);
    flipped += (before >= 0.0f) != (w[i] >= 0.0f);
  }
  write<W>(x.w + at, w);
  write<W>(x.m + at, m);
  write<W>(x.v + at, v);
  return flipped;
}

// All parameters in one launch: a model has hundreds, most of them small. flips (a count below
// 2^53, exact in any order) += signs that changed.
__global__ void __launch_bounds__(kThreads)
    update(int count, const Numbers* all, Factors c, double* flips) {
  int low = 0, high = count;  // the last whose first block is not behind this one
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (all[middle].first <= static_cast<int>(blockIdx.x) ? low : high) = middle;
  }
  const Numbers x = all[low];
  const int64_t begin = (static_cast<int>(blockIdx.x) - x.first) * kUpdateBlock,
                end = min(x.n, begin + kUpdateBlock);
  int flipped = 0;
  if (x.packs) {
    for (int64_t at = begin + threadIdx.x * 8; at < end; at += kThreads * 8)
      flipped += step<8>(x, at, c);
  } else {
    for (int64_t at = begin + threadIdx.x; at < end; at += kThreads) flipped += step<1>(x, at, c);
  }
  if (!x.counted) return;
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

void adamw_update(const std::vector<AdamWNumbers>& all, const AdamWCoefficients& c, Tensor& flips) {
  std::vector<Numbers> table;
  int blocks = 0;
  table.reserve(all.size());
  for (const AdamWNumbers& each : all) {
    const int64_t n = each.w->numel();
    if (n == 0) continue;
    Numbers x{.grad = numbers<float>(*each.grad),
              .w = numbers<float>(*each.w),
              .m = numbers<float>(*each.m),
              .v = numbers<float>(*each.v),
              .n = n,
              .first = blocks,
              .keep = static_cast<float>(each.keep),
              .rate = static_cast<float>(each.rate),
              .counted = each.counted};
    x.packs = whole_packs(n, {x.grad, x.w, x.m, x.v});
    table.push_back(x);
    blocks += static_cast<int>(divide_up(n, kUpdateBlock));
  }
  if (table.empty()) return;
  const size_t bytes = table.size() * sizeof(Numbers);
  Tensor there = Tensor::uninitialized({static_cast<int64_t>(bytes)}, DType::u8, Device::cuda);
  copy(there.raw(), table.data(), bytes);
  const Factors f{.clip = static_cast<float>(c.gradient),
                  .b1 = static_cast<float>(c.beta1),
                  .b2 = static_cast<float>(c.beta2),
                  .v_scale = static_cast<float>(c.v_scale),
                  .eps = static_cast<float>(c.epsilon)};
  update<<<static_cast<unsigned>(blocks), kThreads, 0, stream()>>>(
      static_cast<int>(table.size()), static_cast<const Numbers*>(there.raw()), f,
      numbers<double>(flips));
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
