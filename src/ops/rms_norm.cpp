#include "halftone/ops/rms_norm.h"

#include <cmath>

#include "halftone/base/threads.h"
#include "halftone/ops/row_math.h"

namespace halftone {
namespace {

constexpr int64_t kRows = 16;
constexpr int64_t kColumns = 128;

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

template <class T>
void rms_norm_backward(int64_t n, int64_t c, const T* x, const T* gain, const T* s, const T* dy,
                       T* dx, T beta) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i)
        rms_row_backward(c, x + i * c, gain, s[i], dy + i * c, dx + i * c, beta);
    });
  });
}

// sum += dy o x s over one row's columns
template <class T>
HT_INLINE inline void add_row(int64_t c, const T* dy, const T* x, T s, T* sum) {
#pragma omp simd
  for (int64_t j = 0; j < c; ++j) sum[j] += dy[j] * x[j] * s;
}

template <class T>
void rms_norm_gain_backward(int64_t n, int64_t c, const T* x, const T* s, const T* dy, T* dgain,
                            T beta) {
  parallel_for(c, kColumns, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      if (beta == T(0))
        for (int64_t j = begin; j < end; ++j) dgain[j] = 0;
      for (int64_t i = 0; i < n; ++i)
        add_row(end - begin, dy + i * c + begin, x + i * c + begin, s[i], dgain + begin);
    });
  });
}

}  // namespace

Var rms_norm(const Var& x, const Var& gain, double eps) {
  require(x.value().rank() == 2 && gain.shape() == Shape{x.dim(1)} && gain.dtype() == x.dtype(),
          "rms_norm: x {}, gain {}", shape_text(x.shape()), shape_text(gain.shape()));
  const int64_t n = x.dim(0), c = x.dim(1);
  Tensor y = Tensor::uninitialized(x.shape(), x.dtype());
  Tensor s = Tensor::uninitialized({n}, x.dtype());
  with_real(x.dtype(), "rms_norm", [&]<class T>() {
    rms_norm_forward(n, c, x.value().data<T>(), gain.value().data<T>(), static_cast<T>(eps),
                     y.data<T>(), s.data<T>());
  });
  return x.tape().record("rms_norm", {x, gain}, y, [x, gain, s, n, c](const Tensor& dy) {
    with_real(dy.dtype(), "rms_norm", [&]<class T>() {
      const T *xs = x.value().data<T>(), *gains = gain.value().data<T>();
      if (gain.needs_grad()) {
        auto [dgain, beta] = gain.grad_target();
        rms_norm_gain_backward(n, c, xs, s.data<T>(), dy.data<T>(), dgain.template data<T>(),
                               static_cast<T>(beta));
      }
      if (x.needs_grad()) {
        auto [dx, beta] = x.grad_target();
        rms_norm_backward(n, c, xs, gains, s.data<T>(), dy.data<T>(), dx.template data<T>(),
                          static_cast<T>(beta));
      }
    });
  });
}

}  // namespace halftone
