// Groups of columns normalised by themselves on the GPU: a warp a group of a row.
#include "halftone/ops/group_norm.h"

#include "held_rows.cuh"

namespace halftone {

using Widths = std::vector<int64_t>;

namespace cuda {
namespace {

constexpr int kMostGroups = 8;

struct Groups {
  int count = 0;
  int64_t width = 0, begin[kMostGroups + 1] = {};
  int64_t widest = 0;
  bool packs = true;

  explicit Groups(const Widths& widths) : count(static_cast<int>(widths.size())) {
    require(count <= kMostGroups, "group_norm: {} groups on cuda, at most {}", count, kMostGroups);
    for (int g = 0; g < count; ++g) {
      begin[g + 1] = width += widths[g];
      widest = std::max(widest, widths[g]);
      packs = packs && widths[g] % 8 == 0;
    }
  }
};

// The group of this warp.
struct Here {
  bool there;
  int64_t at, c;

  __device__ Here(const Groups& groups, int64_t rows) {
    const int64_t index = row_here(), row = index / groups.count;
    const int g = static_cast<int>(index - row * groups.count);
    there = row < rows;
    at = row * groups.width + groups.begin[g];
    c = groups.begin[g + 1] - groups.begin[g];
  }
};

template <int P, class T>
__global__ void __launch_bounds__(kRowThreads)
    forward(Groups groups, int64_t rows, const T* x, float eps, const T* plus, T* y) {
  const Here here(groups, rows);
  if (!here.there) return;
  const HeldRows<P, 1, T> held(here.c, {x + here.at});
  const RowMoments<1> moments(held, here.c, eps);
  constexpr int W = held.kWidth;
  held.pass([&](int64_t j, const float(&a)[1][W]) {
    float out[W], more[W];
    if (plus) read<W>(plus + here.at + j, more);
#pragma unroll
    for (int i = 0; i < W; ++i) out[i] = moments.z(0, a[0][i]) + (plus ? more[i] : 0.0f);
    write<W>(y + here.at + j, out);
  });
}

template <int P, class T>
__global__ void __launch_bounds__(kRowThreads)
    backward(Groups groups, int64_t rows, const T* x, float eps, const T* dy, T* dx) {
  const Here here(groups, rows);
  if (!here.there) return;
  const HeldRows<P, 2, T> held(here.c, {x + here.at, dy + here.at});
  const RowMoments<1> moments(held, here.c, eps);
  constexpr int W = held.kWidth;
  float sum = 0, along = 0;
  held.pass([&](int64_t, const float(&a)[2][W]) {
#pragma unroll
    for (int i = 0; i < W; ++i) {
      sum += a[1][i];
      along += a[1][i] * moments.z(0, a[0][i]);
    }
  });
  const float share = 1.0f / static_cast<float>(here.c), mean = warp_sum(sum) * share,
              slope = warp_sum(along) * share;
  held.pass([&](int64_t j, const float(&a)[2][W]) {
    float out[W];
#pragma unroll
    for (int i = 0; i < W; ++i)
      out[i] = moments.r[0] * (a[1][i] - mean - moments.z(0, a[0][i]) * slope);
    write<W>(dx + here.at + j, out);
  });
}

}  // namespace

void group_norm_forward(const Tensor& x, const Widths& widths, double eps, const Tensor& plus,
                        Tensor& y) {
  const Groups groups(widths);
  const int64_t n = x.dim(0);
  if (n == 0) return;
  with_number(x.dtype(), "group_norm", [&]<class T>() {
    const T *in = numbers<T>(x), *more = plus.defined() ? numbers<T>(plus) : nullptr;
    T* out = numbers<T>(y);
    with_held<T>(groups.widest, groups.packs && whole_packs(8, {in, more, out}), [&]<int P>() {
      forward<P><<<blocks_for(n * groups.count, kRowWarps), kRowThreads, 0, stream()>>>(
          groups, n, in, static_cast<float>(eps), more, out);
    });
  });
  check_launch("group_norm");
}

void group_norm_backward(const Tensor& x, const Widths& widths, double eps, const Tensor& dy,
                         Tensor& dx) {
  const Groups groups(widths);
  const int64_t n = x.dim(0);
  if (n == 0) return;
  with_number(x.dtype(), "group_norm", [&]<class T>() {
    const T *in = numbers<T>(x), *d = numbers<T>(dy);
    T* out = numbers<T>(dx);
    with_held<T>(groups.widest, groups.packs && whole_packs(8, {in, d, out}), [&]<int P>() {
      backward<P><<<blocks_for(n * groups.count, kRowWarps), kRowThreads, 0, stream()>>>(
          groups, n, in, static_cast<float>(eps), d, out);
    });
  });
  check_launch("group_norm");
}

}  // namespace cuda

}  // namespace halftone
