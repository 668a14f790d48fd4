// RMS normalisation: rows, and the gain's gradient in parts.
#include "halftone/ops/rms_norm.h"

#include <algorithm>
#include <cmath>

#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "halftone/ops/linear.h"
#include "halftone/tensor/arithmetic.h"
#include "row_math.h"
#include "tensor/dispatch.h"

namespace halftone {

// s (N): a row's factor. dx = beta dx + ..., undefined where it is not wanted; so are the parts
// (N / kPart x C), sums of dy o x s over kPart rows each.
HT_KERNEL(rms_norm_forward, const Tensor& x, const Tensor& gain, double eps, Tensor& y, Tensor& s)
HT_KERNEL(rms_norm_backward, const Tensor& x, const Tensor& gain, const Tensor& s, const Tensor& dy,
          double beta, Tensor& dx, Tensor& dgain_parts)

namespace {

constexpr int64_t kRows = 16;
constexpr int64_t kPart = 64;  // rows whose part of the gain's gradient is summed at a time

template <class T>
HT_INLINE inline T rms_row(int64_t c, const T* x, const T* gain, T eps, T* y) {
  const T s = T(1) / std::sqrt(row_dot(c, x, x) / static_cast<T>(c) + eps);
#pragma omp simd
  for (int64_t j = 0; j < c; ++j) y[j] = gain[j] * x[j] * s;
  return s;
}

// dx = beta dx + s (gain o dy - x s^2 mean(gain o dy o x))
template <class T>
HT_INLINE inline void rms_row_backward(int64_t c, const T* x, const T* gain, T s, const T* dy,
                                       T* dx, T beta) {
  const T k = s * s * row_dot(c, gain, dy, x) / static_cast<T>(c);
  if (beta == T(0)) {
#pragma omp simd
    for (int64_t j = 0; j < c; ++j) dx[j] = s * (gain[j] * dy[j] - x[j] * k);
  } else {
#pragma omp simd
    for (int64_t j = 0; j < c; ++j) dx[j] += s * (gain[j] * dy[j] - x[j] * k);
  }
}

// sum += dy o x s over one row's columns
template <class T>
HT_INLINE inline void add_row(int64_t c, const T* dy, const T* x, T s, T* sum) {
#pragma omp simd
  for (int64_t j = 0; j < c; ++j) sum[j] += dy[j] * x[j] * s;
}

}  // namespace

namespace cpu {

void rms_norm_forward(const Tensor& x, const Tensor& gain, double eps, Tensor& y, Tensor& s) {
  with_real(x.dtype(), "rms_norm", [&]<class T>() {
    const int64_t n = s.numel(), c = gain.numel();
    const T *xs = x.data<T>(), *g = gain.data<T>();
    T *ys = y.data<T>(), *factors = s.data<T>();
    parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i)
          factors[i] = rms_row(c, xs + i * c, g, static_cast<T>(eps), ys + i * c);
      });
    });
  });
}

void rms_norm_backward(const Tensor& x, const Tensor& gain, const Tensor& s, const Tensor& dy,
                       double beta, Tensor& dx, Tensor& dgain_parts) {
  with_real(dy.dtype(), "rms_norm", [&]<class T>() {
    const int64_t n = s.numel(), c = gain.numel();
    const T *xs = x.data<T>(), *g = gain.data<T>(), *factors = s.data<T>(), *in = dy.data<T>();
    T* to = dx.defined() ? dx.data<T>() : nullptr;
    T* parts = dgain_parts.defined() ? dgain_parts.data<T>() : nullptr;
    parallel_for(n, kPart, [&](int64_t begin, int64_t end) {
      T* dgain = parts ? parts + begin / kPart * c : nullptr;
      if (dgain) std::fill_n(dgain, c, T(0));
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t at = i * c;
          if (dgain) add_row(c, in + at, xs + at, factors[i], dgain);
          if (to)
            rms_row_backward(c, xs + at, g, factors[i], in + at, to + at, static_cast<T>(beta));
        }
      });
    });
  });
}

}  // namespace cpu

Var rms_norm(const Var& x, const Var& gain, double eps, double gain_offset) {
  require(x.value().rank() == 2 && gain.value().rank() == 1 && gain.dim(0) > 0 &&
              x.dim(1) % gain.dim(0) == 0 && gain.dtype() == sum_dtype(x.dtype()),
          "rms_norm: x {}, gain {}", shape_text(x.shape()), shape_text(gain.shape()));
  const int64_t c = gain.dim(0), n = x.value().numel() / c;
  const Device device = x.value().device();
  const Tensor g = gain_offset == 0 ? gain.value() : shifted(gain.value(), gain_offset);
  Tensor y = x.value().like(), s = Tensor::uninitialized({n}, sum_dtype(x.dtype()), device);
  HT_RUN(rms_norm_forward, device, x.value(), g, eps, y, s);
  const Var out =
      x.tape().record("rms_norm", {x, gain}, y,
                      [x = x.without_value(), x_later = x.later(), gain = gain.without_value(), g,
                       s, n, c](const Tensor& dy) {
                        Tensor dgain_parts;
                        if (gain.needs_grad())
                          dgain_parts = Tensor::uninitialized({divide_up(n, kPart), c},
                                                              sum_dtype(dy.dtype()), dy.device());
                        Var::Target dx = x.needs_grad() ? x.grad_target() : Var::Target{};
                        HT_RUN(rms_norm_backward, dy.device(), x_later(), g, s, dy, dx.beta,
                               dx.tensor, dgain_parts);
                        if (gain.needs_grad()) {
                          auto [dgain, beta] = gain.grad_target();
                          add_column_sums(dgain_parts, dgain, beta);
                        }
                      });
  if (device != Device::cuda || !out.needs_grad()) return out;
  return out.made_by([x_later = x.later(), g, eps] {
    const Tensor x = x_later();
    Tensor again = x.like(),
           factors = Tensor::uninitialized({x.numel() / g.numel()}, DType::f32, x.device());
    HT_RUN(rms_norm_forward, x.device(), x, g, eps, again, factors);
    return again;
  });
}

}  // namespace halftone
