// The turn of rotary positions on the GPU.
#include "halftone/ops/rotary.h"

#include "tensor/cuda/rows.cuh"

namespace halftone::cuda {
namespace {

constexpr int kThreads = 256;

struct Turn {
  int64_t pairs, half, heads, width, length, first;  // pairs: of numbers that turn, in all
  const float *cosines, *sines;
  float direction;
};

template <int W, class T>
__global__ void turn(Turn t, const T* x, T* y) {
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * W;
  if (at >= t.pairs) return;
  const int64_t head = at / t.half, j = at % t.half, row = head / t.heads;
  const int64_t angle = (t.first + row % t.length) * t.half + j,
                from = row * t.width + head % t.heads * 2 * t.half + j;
  float a[W], b[W], c[W], s[W];
  read<W>(x + from, a);
  read<W>(x + from + t.half, b);
  read<W>(t.cosines + angle, c);
  read<W>(t.sines + angle, s);
#pragma unroll
  for (int i = 0; i < W; ++i) {
    const float ai = a[i], bi = b[i], si = t.direction * s[i];
    a[i] = ai * c[i] - bi * si;
    b[i] = bi * c[i] + ai * si;
  }
  write<W>(y + from, a);
  write<W>(y + from + t.half, b);
}

}  // namespace

void rotate(const Tensor& x, const RotaryTable& table, int64_t heads, int64_t length, int64_t first,
            int direction, Tensor& y) {
  const Turn t{.pairs = x.dim(0) * heads * table.cos.dim(1),
               .half = table.cos.dim(1),
               .heads = heads,
               .width = x.dim(1),
               .length = length,
               .first = first,
               .cosines = numbers<float>(table.cos),
               .sines = numbers<float>(table.sin),
               .direction = static_cast<float>(direction)};
  if (t.pairs == 0) return;
  with_number(x.dtype(), "rotary", [&]<class T>() {
    const T* in = numbers<T>(x);
    T* out = numbers<T>(y);
    with_width(whole_packs(t.half, {in, out, t.cosines, t.sines}) && t.width % 8 == 0,
               [&]<int W>() {
                 turn<W><<<blocks_for(t.pairs, kThreads * W), kThreads, 0, stream()>>>(t, in, out);
               });
  });
  check_launch("rotary");
}

}  // namespace halftone::cuda
