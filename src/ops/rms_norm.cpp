#include "halftone/ops/rms_norm.h"

#include <algorithm>
#include <cmath>

#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "halftone/ops/linear.h"
#include "row_math.h"

namespace halftone {
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

template <class T>
void rms_norm_forward(int64_t n, int64_t c, const T* x, const T* gain, T eps, T* y, T* s) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) s[i] = rms_row(c, x + i * c, gain, eps, y + i * c);
    });
  });
}

// sum += dy o x s over one row's columns
template <class T>
HT_INLINE inline void add_row(int64_t c, const T* dy, const T* x, T s, T* sum) {
#pragma omp simd
  for (int64_t j = 0; j < c; ++j) sum[j] += dy[j] * x[j] * s;
}

// Where backward writes, null what is not wanted: dx, and dgain by block of kPart rows.
template <class T>
struct RmsGradients {
  T *dx, beta;
  T* dgain_parts;
};

template <class T>
void rms_norm_backward(int64_t n, int64_t c, const T* x, const T* gain, const T* s, const T* dy,
                       const RmsGradients<T>& to) {
  parallel_for(n, kPart, [&](int64_t begin, int64_t end) {
    T* dgain = to.dgain_parts ? to.dgain_parts + begin / kPart * c : nullptr;
    if (dgain) std::fill_n(dgain, c, T(0));
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = i * c;
        if (dgain) add_row(c, dy + at, x + at, s[i], dgain);
        if (to.dx) rms_row_backward(c, x + at, gain, s[i], dy + at, to.dx + at, to.beta);
      }
    });
  });
}

}  // namespace

Var rms_norm(const Var& x, const Var& gain, double eps) {
  require(x.value().rank() == 2 && gain.value().rank() == 1 && gain.dim(0) > 0 &&
              x.dim(1) % gain.dim(0) == 0 && gain.dtype() == x.dtype(),
          "rms_norm: x {}, gain {}", shape_text(x.shape()), shape_text(gain.shape()));
  const int64_t c = gain.dim(0), n = x.value().numel() / c;
  Tensor y = Tensor::uninitialized(x.shape(), x.dtype());
  Tensor s = Tensor::uninitialized({n}, x.dtype());
  with_real(x.dtype(), "rms_norm", [&]<class T>() {
    rms_norm_forward(n, c, x.value().data<T>(), gain.value().data<T>(), static_cast<T>(eps),
                     y.data<T>(), s.data<T>());
  });
  return x.tape().record("rms_norm", {x, gain}, y, [x, gain, s, n, c](const Tensor& dy) {
    Tensor dgain_parts;
    if (gain.needs_grad())
      dgain_parts = Tensor::uninitialized({divide_up(n, kPart), c}, dy.dtype());
    Var::Target target = x.needs_grad() ? x.grad_target() : Var::Target{};
    with_real(dy.dtype(), "rms_norm", [&]<class T>() {
      rms_norm_backward<T>(n, c, x.value().data<T>(), gain.value().data<T>(), s.data<T>(),
                           dy.data<T>(),
                           {.dx = x.needs_grad() ? target.tensor.data<T>() : nullptr,
                            .beta = static_cast<T>(target.beta),
                            .dgain_parts = gain.needs_grad() ? dgain_parts.data<T>() : nullptr});
    });
    if (gain.needs_grad()) {
      auto [dgain, beta] = gain.grad_target();
      add_column_sums(dgain_parts, dgain, beta);
    }
  });
}

}  // namespace halftone
