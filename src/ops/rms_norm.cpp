#include "halftone/ops/rms_norm.h"

#include <cmath>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"

namespace halftone {
namespace {

constexpr int64_t kRows = 16;
constexpr int64_t kColumns = 128;

template <class T>
void rms_norm_forward(int64_t n, int64_t c, const T* x, const T* gain, T eps, T* y, T* s) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const T* xi = x + i * c;
        T sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < c; ++j) sum += xi[j] * xi[j];
        const T si = T(1) / std::sqrt(sum / static_cast<T>(c) + eps);
        for (int64_t j = 0; j < c; ++j) y[i * c + j] = gain[j] * xi[j] * si;
        s[i] = si;
      }
    });
  });
}

template <class T>
void rms_norm_backward(int64_t n, int64_t c, const T* x, const T* gain, const T* s, const T* dy,
                       T* dx, T beta) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const T *xi = x + i * c, *dyi = dy + i * c;
        T dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t j = 0; j < c; ++j) dot += gain[j] * dyi[j] * xi[j];
        const T si = s[i], k = si * si * dot / static_cast<T>(c);
        T* dxi = dx + i * c;
        if (beta == T(0))
          for (int64_t j = 0; j < c; ++j) dxi[j] = si * (gain[j] * dyi[j] - xi[j] * k);
        else
          for (int64_t j = 0; j < c; ++j) dxi[j] += si * (gain[j] * dyi[j] - xi[j] * k);
      }
    });
  });
}

template <class T>
void rms_norm_gain_backward(int64_t n, int64_t c, const T* x, const T* s, const T* dy, T* dgain,
                            T beta) {
  parallel_for(c, kColumns, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      if (beta == T(0))
        for (int64_t j = begin; j < end; ++j) dgain[j] = 0;
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = begin; j < end; ++j) dgain[j] += dy[i * c + j] * x[i * c + j] * s[i];
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
