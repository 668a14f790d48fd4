// Layer normalisation: the bare one, and a gain and a bias behind it.
#include "halftone/ops/layer_norm.h"

#include <algorithm>

#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "halftone/ops/linear.h"
#include "normalise_rows.h"
#include "row_math.h"
#include "tensor/dispatch.h"

namespace halftone {

HT_KERNEL(layer_norm_forward, const Tensor& x, double eps, Tensor& z, Tensor& r)
HT_KERNEL(layer_norm_backward, const Tensor& z, const Tensor& r, const Tensor& dz, Tensor& dx)
HT_KERNEL(affine_forward, const Tensor& z, const Tensor& gain, const Tensor& bias, Tensor& y)
// dz may be dy.
HT_KERNEL(affine_backward, const Tensor& z, const Tensor& gain, const Tensor& dy, Tensor& dz)
// parts (N / kPart x C): sums of dy o z over kPart rows each.
HT_KERNEL(affine_gain_parts, const Tensor& z, const Tensor& dy, Tensor& parts)

namespace {

constexpr int64_t kRows = 16;
constexpr int64_t kPart = 64;  // rows whose part of the gain's gradient is summed at a time

// Runs body(row) for each, vectorised.
template <class Body>
void for_each_row(int64_t n, const Body& body) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) body(i);
    });
  });
}

}  // namespace

namespace cpu {

void normalise_rows(int64_t begin, int64_t end, const Tensor& y, double eps, Tensor& z, Tensor& r) {
  with_real(y.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = y.dim(1);
    const T* in = y.data<T>();
    T *out = z.data<T>(), *rs = r.data<T>();
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i)
        rs[i] = normalise_row(c, in + i * c, static_cast<T>(eps), out + i * c);
    });
  });
}

void normalise_rows_backward(int64_t begin, int64_t end, const Tensor& z, const Tensor& r,
                             const Tensor& dz, Tensor& dy) {
  with_real(dz.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = z.dim(1);
    const T *zs = z.data<T>(), *rs = r.data<T>(), *in = dz.data<T>();
    T* out = dy.data<T>();
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i)
        normalise_row_backward(c, zs + i * c, rs[i], in + i * c, out + i * c);
    });
  });
}

void layer_norm_forward(const Tensor& x, double eps, Tensor& z, Tensor& r) {
  parallel_for(x.dim(0), kRows,
               [&](int64_t begin, int64_t end) { normalise_rows(begin, end, x, eps, z, r); });
}

void layer_norm_backward(const Tensor& z, const Tensor& r, const Tensor& dz, Tensor& dx) {
  parallel_for(z.dim(0), kRows, [&](int64_t begin, int64_t end) {
    normalise_rows_backward(begin, end, z, r, dz, dx);
  });
}

void affine_forward(const Tensor& z, const Tensor& gain, const Tensor& bias, Tensor& y) {
  with_real(z.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = z.dim(1);
    const T *in = z.data<T>(), *g = gain.data<T>(), *b = bias.data<T>();
    T* out = y.data<T>();
    for_each_row(z.dim(0), [=](int64_t i) HT_INLINE {
#pragma omp simd
      for (int64_t j = 0; j < c; ++j) out[i * c + j] = in[i * c + j] * g[j] + b[j];
    });
  });
}

void affine_backward(const Tensor& z, const Tensor& gain, const Tensor& dy, Tensor& dz) {
  with_real(dy.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = z.dim(1);
    const T *in = dy.data<T>(), *g = gain.data<T>();
    T* out = dz.data<T>();
    for_each_row(z.dim(0), [=](int64_t i) HT_INLINE {
#pragma omp simd
      for (int64_t j = 0; j < c; ++j) out[i * c + j] = in[i * c + j] * g[j];
    });
  });
}

void affine_gain_parts(const Tensor& z, const Tensor& dy, Tensor& parts) {
  with_real(dy.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = z.dim(1);
    const T *zs = z.data<T>(), *in = dy.data<T>();
    T* out = parts.data<T>();
    parallel_for(z.dim(0), kPart, [&](int64_t begin, int64_t end) {
      T* sum = out + begin / kPart * c;
      std::fill_n(sum, c, T(0));
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i)
#pragma omp simd
          for (int64_t j = 0; j < c; ++j) sum[j] += in[i * c + j] * zs[i * c + j];
      });
    });
  });
}

}  // namespace cpu

Var layer_norm(const Var& x, double eps) {
  require(x.value().rank() == 2, "layer_norm: {}", shape_text(x.shape()));
  const Device device = x.value().device();
  Tensor z = x.value().like(), r = Tensor::uninitialized({x.dim(0)}, sum_dtype(x.dtype()), device);
  HT_RUN(layer_norm_forward, device, x.value(), eps, z, r);
  return x.tape().record("layer_norm", {x}, z, [x = x.without_value(), z, r](const Tensor& dz) {
    Tensor dx = dz.like();
    HT_RUN(layer_norm_backward, dz.device(), z, r, dz, dx);
    x.add_grad(dx);
  });
}

Var layer_norm(const Var& x, const Var& gain, const Var& bias, double eps) {
  require(x.value().rank() == 2 && gain.shape() == Shape{x.dim(1)} &&
              bias.shape() == gain.shape() && bias.dtype() == gain.dtype() &&
              gain.dtype() == sum_dtype(x.dtype()),
          "layer_norm: x {}, gain {}, bias {}", shape_text(x.shape()), shape_text(gain.shape()),
          shape_text(bias.shape()));
  const Device device = x.value().device();
  Tensor z = x.value().like(), y = x.value().like(),
         r = Tensor::uninitialized({x.dim(0)}, sum_dtype(x.dtype()), device);
  HT_RUN(layer_norm_forward, device, x.value(), eps, z, r);
  HT_RUN(affine_forward, device, z, gain.value(), bias.value(), y);
  return x.tape().record(
      "layer_norm", {x, gain, bias}, y,
      [x = x.without_value(), gain, bias = bias.without_value(), z, r](const Tensor& dy) {
        if (gain.needs_grad()) {
          Tensor parts = Tensor::uninitialized({divide_up(z.dim(0), kPart), z.dim(1)},
                                               sum_dtype(dy.dtype()), dy.device());
          HT_RUN(affine_gain_parts, dy.device(), z, dy, parts);
          auto [dgain, beta] = gain.grad_target();
          add_column_sums(parts, dgain, beta);
        }
        if (bias.needs_grad()) {
          auto [dbias, beta] = bias.grad_target();
          add_column_sums(dy, dbias, beta);
        }
        if (x.needs_grad()) {
          Tensor dx = dy.reused();
          HT_RUN(affine_backward, dy.device(), z, gain.value(), dy, dx);
          HT_RUN(layer_norm_backward, dy.device(), z, r, dx, dx);
          x.add_grad(dx);
        }
      });
}

}  // namespace halftone
