// Activations on the GPU.
#include "halftone/ops/activation.h"

#include "gated_rows.h"
#include "held_rows.cuh"
#include "tensor/cuda/elementwise.cuh"
#include "tensor/cuda/rows.cuh"

namespace halftone::cuda {
namespace {

__device__ float sigmoid(float a) {
  return 1.0f / (1.0f + expf(-a));
}
// tanh(u) of gelu: (1 + tanh(u)) / 2 is sigmoid(2 u).
__device__ float gelu_share(float a) {
  return sigmoid(1.5957691216057308f * (a + 0.044715f * a * a * a));
}

// times(d, a) is d f(a), through(d, a) is d f'(a).
struct Silu {
  __device__ static float times(float d, float a) { return d * a * sigmoid(a); }
  __device__ static float through(float d, float a) {
    const float s = sigmoid(a);
    return d * s * (1.0f + a * (1.0f - s));
  }
};
struct Relu {
  __device__ static float times(float d, float a) { return d * (a < 0.0f ? 0.0f : a); }
  __device__ static float through(float d, float a) { return a > 0.0f ? d : 0.0f; }
};
struct GeluTanh {
  __device__ static float times(float d, float a) { return d * a * gelu_share(a); }
  __device__ static float through(float d, float a) {
    const float s = gelu_share(a);
    const float slope = 1.5957691216057308f * (1.0f + 0.134145f * a * a);
    return d * s * (1.0f + a * (1.0f - s) * slope);
  }
};

template <class F>
struct Activate {
  __device__ void operator()(const float* x, float* y) const { y[0] = F::times(1.0f, x[0]); }
};
template <class F>
struct ActivateBack {  // x, dy
  __device__ void operator()(const float* x, float* y) const { y[0] = F::through(x[1], x[0]); }
};
template <class F>
struct Gated {  // gate, up
  __device__ void operator()(const float* x, float* y) const { y[0] = F::times(1.0f, x[0]) * x[1]; }
};
template <class F>
struct GatedBack {  // gate, up, dy
  __device__ void operator()(const float* x, float* y) const {
    y[0] = F::through(x[2] * x[1], x[0]);
    y[1] = F::times(x[2], x[0]);
  }
};

constexpr int kThreads = 256;

// Of n numbers y, c a row; a row of x has c of up and c of gate.
template <int W, class T, class F>
__global__ void gated_rows(int64_t n, int64_t c, const T* x, T* y) {
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * W, up = at + at / c * c;
  if (at >= n) return;
  float a[W], b[W];
  read<W>(x + up, a);
  read<W>(x + up + c, b);
#pragma unroll
  for (int i = 0; i < W; ++i) a[i] *= F::times(1.0f, b[i]);
  write<W>(y + at, a);
}

template <int W, class T, class F>
__global__ void gated_rows_back(int64_t n, int64_t c, const T* x, const T* dy, T* dx, T* y) {
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * W, up = at + at / c * c;
  if (at >= n) return;
  float a[W], b[W], d[W], again[W];
  read<W>(x + up, a);
  read<W>(x + up + c, b);
  read<W>(dy + at, d);
#pragma unroll
  for (int i = 0; i < W; ++i) {
    again[i] = F::times(1.0f, b[i]) * a[i];
    a[i] = F::through(d[i] * a[i], b[i]);
    b[i] = F::times(d[i], b[i]);
  }
  write<W>(y + at, again);
  write<W>(dx + up, b);
  write<W>(dx + up + c, a);
}

// The same of up and gate that are normalised by themselves first: a warp a row.
template <int P, class T, class F>
__global__ void __launch_bounds__(kRowThreads)
    gated_norms(int64_t n, int64_t c, const T* x, float eps, T* y) {
  const int64_t row = row_here();
  if (row >= n) return;
  x += row * 2 * c;
  y += row * c;
  const HeldRows<P, 2, T> held(c, {x, x + c});
  const RowMoments<2> moments(held, c, eps);
  constexpr int W = held.kWidth;
  held.pass([&](int64_t j, const float(&a)[2][W]) {
    float out[W];
#pragma unroll
    for (int i = 0; i < W; ++i)
      out[i] = F::times(1.0f, moments.z(1, a[1][i])) * moments.z(0, a[0][i]);
    write<W>(y + j, out);
  });
}

template <int P, class T, class F>
__global__ void __launch_bounds__(kRowThreads)
    gated_norms_back(int64_t n, int64_t c, const T* x, float eps, const T* dy, T* dx, T* y) {
  const int64_t row = row_here();
  if (row >= n) return;
  x += row * 2 * c;
  dx += row * 2 * c;
  const HeldRows<P, 3, T> held(c, {x, x + c, dy + row * c});
  const RowMoments<2> moments(held, c, eps);
  constexpr int W = held.kWidth;
  float sums[2] = {}, along[2] = {};
  held.pass([&](int64_t, const float(&a)[3][W]) {
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const float up = moments.z(0, a[0][i]), gate = moments.z(1, a[1][i]);
      const float d[2] = {F::times(a[2][i], gate), F::through(a[2][i] * up, gate)};
      sums[0] += d[0];
      sums[1] += d[1];
      along[0] += d[0] * up;
      along[1] += d[1] * gate;
    }
  });
  const float share = 1.0f / static_cast<float>(c);
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    sums[k] = warp_sum(sums[k]) * share;
    along[k] = warp_sum(along[k]) * share;
  }
  held.pass([&](int64_t j, const float(&a)[3][W]) {
    float of_up[W], of_gate[W], again[W];
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const float up = moments.z(0, a[0][i]), gate = moments.z(1, a[1][i]);
      again[i] = F::times(1.0f, gate) * up;
      of_up[i] = moments.r[0] * (F::times(a[2][i], gate) - sums[0] - up * along[0]);
      of_gate[i] = moments.r[1] * (F::through(a[2][i] * up, gate) - sums[1] - gate * along[1]);
    }
    write<W>(y + row * c + j, again);
    write<W>(dx + j, of_up);
    write<W>(dx + c + j, of_gate);
  });
}

// Runs body.template operator()<T, F>() for the numbers' type and the function.
template <class Body>
void with_function(DType dtype, Activation f, const Body& body) {
  with_number(dtype, "activation", [&]<class T>() {
    switch (f) {
      case Activation::silu:
        return body.template operator()<T, Silu>();
      case Activation::relu:
        return body.template operator()<T, Relu>();
      case Activation::gelu_tanh:
        return body.template operator()<T, GeluTanh>();
    }
  });
}

}  // namespace

void activate_forward(const Tensor& x, Activation f, Tensor& y) {
  with_function(x.dtype(), f, [&]<class T, class F>() {
    elementwise<1, 1, T>("activate", x.numel(), {{numbers<T>(x)}, {numbers<T>(y)}}, Activate<F>{});
  });
}

void activate_backward(const Tensor& x, Activation f, const Tensor& dy, Tensor& dx) {
  with_function(x.dtype(), f, [&]<class T, class F>() {
    elementwise<2, 1, T>("activate", x.numel(), {{numbers<T>(x), numbers<T>(dy)}, {numbers<T>(dx)}},
                         ActivateBack<F>{});
  });
}

void gated_forward(const Tensor& gate, const Tensor& up, Activation f, Tensor& y) {
  with_function(gate.dtype(), f, [&]<class T, class F>() {
    elementwise<2, 1, T>("gated", gate.numel(),
                         {{numbers<T>(gate), numbers<T>(up)}, {numbers<T>(y)}}, Gated<F>{});
  });
}

void gated_backward(const Tensor& gate, const Tensor& up, Activation f, const Tensor& dy,
                    Tensor& dgate, Tensor& dup) {
  with_function(gate.dtype(), f, [&]<class T, class F>() {
    elementwise<3, 2, T>(
        "gated", gate.numel(),
        {{numbers<T>(gate), numbers<T>(up), numbers<T>(dy)}, {numbers<T>(dgate), numbers<T>(dup)}},
        GatedBack<F>{});
  });
}

void gated_rows_forward(const Tensor& up_gate, double norm_eps, Activation f, Tensor& y) {
  const int64_t n = y.numel(), c = y.dim(1);
  if (n == 0) return;
  with_function(y.dtype(), f, [&]<class T, class F>() {
    const T* x = numbers<T>(up_gate);
    T* to = numbers<T>(y);
    const bool packs = whole_packs(c, {x, to});
    if (norm_eps != 0)
      return with_held<T>(c, packs, [&]<int P>() {
        gated_norms<P, T, F><<<blocks_for(n / c, kRowWarps), kRowThreads, 0, stream()>>>(
            n / c, c, x, static_cast<float>(norm_eps), to);
      });
    with_width(packs, [&]<int W>() {
      gated_rows<W, T, F><<<blocks_for(n, kThreads * W), kThreads, 0, stream()>>>(n, c, x, to);
    });
  });
  check_launch("gated");
}

void gated_rows_backward(const Tensor& up_gate, double norm_eps, Activation f, const Tensor& dy,
                         Tensor& dx, Tensor& y) {
  const int64_t n = dy.numel(), c = dy.dim(1);
  if (n == 0) return;
  with_function(dy.dtype(), f, [&]<class T, class F>() {
    const T *x = numbers<T>(up_gate), *d = numbers<T>(dy);
    T *to = numbers<T>(dx), *again = numbers<T>(y);
    const bool packs = whole_packs(c, {x, d, to, again});
    if (norm_eps != 0)
      return with_held<T>(c, packs, [&]<int P>() {
        gated_norms_back<P, T, F><<<blocks_for(n / c, kRowWarps), kRowThreads, 0, stream()>>>(
            n / c, c, x, static_cast<float>(norm_eps), d, to, again);
      });
    with_width(packs, [&]<int W>() {
      gated_rows_back<W, T, F>
          <<<blocks_for(n, kThreads * W), kThreads, 0, stream()>>>(n, c, x, d, to, again);
    });
  });
  check_launch("gated");
}

}  // namespace halftone::cuda
