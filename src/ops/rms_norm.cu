// RMS normalisation on the GPU.
#include "halftone/ops/rms_norm.h"

#include "held_rows.cuh"

namespace halftone::cuda {
namespace {

constexpr int64_t kPart = 64;  // rows whose part of the gain's gradient a block sums

template <int W, class T>
__global__ void __launch_bounds__(kRowThreads)
    forward(int64_t n, int64_t c, const T* x, const float* gain, float eps, T* y, float* s) {
  const int64_t row = row_here();
  if (row >= n) return;
  const int lane = lane_here();
  x += row * c;
  y += row * c;
  float sum = 0, a[W], g[W];
#pragma unroll 2
  for (int64_t j = lane * W; j < c; j += kWarp * W) {
    read<W>(x + j, a);
#pragma unroll
    for (int i = 0; i < W; ++i) sum += a[i] * a[i];
  }
  const float factor = 1.0f / sqrtf(warp_sum(sum) / static_cast<float>(c) + eps);
  for (int64_t j = lane * W; j < c; j += kWarp * W) {
    read<W>(x + j, a);
    read<W>(gain + j, g);
#pragma unroll
    for (int i = 0; i < W; ++i) a[i] *= g[i] * factor;
    write<W>(y + j, a);
  }
  if (lane == 0) s[row] = factor;
}

template <class T>
struct Back {
  const T* x;
  const float *gain, *s;
  const T* dy;
  T* dx;         // null: not wanted
  float* parts;  // null: not wanted
  float beta;
};

// The gain's gradient in a block's kPart rows: each lane has summed its own columns over the rows
// of its warp, column j at place(j) of `pitch` sums; the warps' sums are added in their order.
template <class Place>
__device__ void add_warps(int64_t c, const float* sums, int64_t pitch, const Place& place,
                          float* parts) {
  __syncthreads();
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  for (int64_t j = threadIdx.x; j < c; j += blockDim.x) {
    float total = 0;
    for (int w = 0; w < warps; ++w) total += sums[w * pitch + place(j)];
    parts[int64_t{blockIdx.x} * c + j] = total;
  }
}

// A block has kPart rows, its warps one after the other.
template <int W, class T>
__global__ void backward(int64_t n, int64_t c, Back<T> b) {
  extern __shared__ float sums[];
  const int lane = lane_here(), warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  float* sum = sums + warp * c;
  if (b.parts)
    for (int64_t j = lane * W; j < c; j += kWarp * W)
#pragma unroll
      for (int i = 0; i < W; ++i) sum[j + i] = 0;
  const int64_t first = int64_t{blockIdx.x} * kPart;
  for (int64_t row = first + warp; row < first + kPart && row < n; row += warps) {
    const T *x = b.x + row * c, *dy = b.dy + row * c;
    const float s = b.s[row];
    float a[W], d[W], g[W], old[W], along = 0;
    for (int64_t j = lane * W; j < c; j += kWarp * W) {
      read<W>(x + j, a);
      read<W>(dy + j, d);
      read<W>(b.gain + j, g);
#pragma unroll
      for (int i = 0; i < W; ++i) {
        along += g[i] * d[i] * a[i];
        if (b.parts) sum[j + i] += d[i] * a[i] * s;
      }
    }
    if (!b.dx) continue;
    const float k = s * s * warp_sum(along) / static_cast<float>(c);
    T* dx = b.dx + row * c;
    for (int64_t j = lane * W; j < c; j += kWarp * W) {
      read<W>(x + j, a);
      read<W>(dy + j, d);
      read<W>(b.gain + j, g);
      if (b.beta != 0.0f) read<W>(dx + j, old);
#pragma unroll
      for (int i = 0; i < W; ++i)
        a[i] = s * (g[i] * d[i] - a[i] * k) + (b.beta != 0.0f ? old[i] : 0.0f);
      write<W>(dx + j, a);
    }
  }
  if (b.parts)
    add_warps(
        c, sums, c, [](int64_t j) { return j; }, b.parts);
}

// The same for rows of which a lane holds P times 8 numbers, read once. Its sums lie so that lanes
// side by side find theirs in different banks.
template <int P>
constexpr int kSums = P * 8 * kWarp;  // of a warp

// Blocks of a multiprocessor: as many as registers hold without spilling.
template <int P, class T>
constexpr int kHeldBlocks = sizeof(T) == 4 ? 2
                            : P < 4        ? 4
                                           : 3;

template <int P, class T>
__global__ void __launch_bounds__(kRowThreads, kHeldBlocks<P, T>)
    backward_held(int64_t n, int64_t c, Back<T> b) {
  extern __shared__ float sums[];
  const int lane = lane_here(), warp = threadIdx.x / kWarp;
  float* sum = sums + warp * kSums<P> + lane;
#pragma unroll
  for (int i = 0; i < P * 8; ++i) sum[i * kWarp] = 0;
  const int64_t first = int64_t{blockIdx.x} * kPart;
  for (int64_t row = first + warp; row < first + kPart && row < n; row += kRowWarps) {
    const T *x = b.x + row * c, *dy = b.dy + row * c;
    T* dx = b.dx + row * c;
    const float s = b.s[row];
    Words<T> a[P], d[P], old[P];
#pragma unroll
    for (int p = 0; p < P; ++p) {
      const int64_t j = (p * kWarp + lane) * 8;
      if (j >= c) continue;
      a[p].load(x + j);
      d[p].load(dy + j);
      if (b.beta != 0.0f) old[p].load(dx + j);
    }
    float along = 0, g[8];
#pragma unroll
    for (int p = 0; p < P; ++p) {
      const int64_t j = (p * kWarp + lane) * 8;
      if (j >= c) continue;
      read<8>(b.gain + j, g);
      const Pack<T> of_x = a[p].pack(), of_dy = d[p].pack();
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float ai = wide(of_x.at[i]), di = wide(of_dy.at[i]);
        along += g[i] * di * ai;
        sum[(p * 8 + i) * kWarp] += di * ai * s;
      }
    }
    const float k = s * s * warp_sum(along) / static_cast<float>(c);
#pragma unroll
    for (int p = 0; p < P; ++p) {
      const int64_t j = (p * kWarp + lane) * 8;
      if (j >= c) continue;
      read<8>(b.gain + j, g);
      const Pack<T> of_x = a[p].pack(), of_dy = d[p].pack(), of_dx = old[p].pack();
      float to[8];
#pragma unroll
      for (int i = 0; i < 8; ++i)
        to[i] = s * (g[i] * wide(of_dy.at[i]) - wide(of_x.at[i]) * k) +
                (b.beta != 0.0f ? wide(of_dx.at[i]) : 0.0f);
      write<8>(dx + j, to);
    }
  }
  add_warps(
      c, sums, kSums<P>,
      [](int64_t j) { return (j / (8 * kWarp) * 8 + j % 8) * kWarp + j / 8 % kWarp; }, b.parts);
}

}  // namespace

void rms_norm_forward(const Tensor& x, const Tensor& gain, double eps, Tensor& y, Tensor& s) {
  const int64_t n = s.numel(), c = gain.numel();
  with_number(x.dtype(), "rms_norm", [&]<class T>() {
    const T* in = numbers<T>(x);
    const float* g = numbers<float>(gain);
    T* out = numbers<T>(y);
    with_width(whole_packs(c, {in, g, out}), [&]<int W>() {
      forward<W><<<blocks_for(n, kRowWarps), kRowThreads, 0, stream()>>>(
          n, c, in, g, static_cast<float>(eps), out, numbers<float>(s));
    });
  });
  check_launch("rms_norm");
}

void rms_norm_backward(const Tensor& x, const Tensor& gain, const Tensor& s, const Tensor& dy,
                       double beta, Tensor& dx, Tensor& dgain_parts) {
  const int64_t n = s.numel(), c = gain.numel();
  constexpr int64_t kShared = 48 << 10;
  const int64_t row_bytes = c * static_cast<int64_t>(sizeof(float));
  require(row_bytes <= kShared, "rms_norm: rows of {} on cuda, at most {}", c, kShared / 4);
  const int64_t warps =
      dgain_parts.defined() ? std::min<int64_t>(kRowWarps, kShared / row_bytes) : kRowWarps;
  const size_t shared = dgain_parts.defined() ? static_cast<size_t>(warps * row_bytes) : 0;
  with_number(dy.dtype(), "rms_norm", [&]<class T>() {
    const Back<T> b{.x = numbers<T>(x),
                    .gain = numbers<float>(gain),
                    .s = numbers<float>(s),
                    .dy = numbers<T>(dy),
                    .dx = numbers_or_null<T>(dx),
                    .parts = numbers_or_null<float>(dgain_parts),
                    .beta = static_cast<float>(beta)};
    const bool packs = whole_packs(c, {b.x, b.gain, b.dy, b.dx});
    const int64_t held = divide_up(c, kWarp * 8);
    if (packs && b.dx && b.parts && held <= 4 && warps == kRowWarps) {
      const auto launch = [&]<int P>() {
        constexpr size_t kBytes = kRowWarps * kSums<P> * sizeof(float);
        backward_held<P><<<blocks_for(n, kPart), kRowThreads, kBytes, stream()>>>(n, c, b);
      };
      if (held == 1) return launch.template operator()<1>();
      if (held == 2) return launch.template operator()<2>();
      if (held == 3) return launch.template operator()<3>();
      return launch.template operator()<4>();
    }
    with_width(packs, [&]<int W>() {
      backward<W><<<blocks_for(n, kPart), static_cast<unsigned>(warps * kWarp), shared, stream()>>>(
          n, c, b);
    });
  });
  check_launch("rms_norm");
}

}  // namespace halftone::cuda
