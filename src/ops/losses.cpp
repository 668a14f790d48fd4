// Distances of hidden states.
#include "halftone/ops/losses.h"

#include <cmath>

#include "halftone/base/threads.h"
#include "row_math.h"
#include "tensor/dispatch.h"

namespace halftone {

HT_KERNEL(normalised_mse_forward, const Tensor& x, const Tensor& t, Tensor& loss)
HT_KERNEL(normalised_mse_backward, const Tensor& x, const Tensor& t, const Tensor& dy, double beta,
          Tensor& dx)
HT_KERNEL(mse_forward, const Tensor& x, const Tensor& t, Tensor& loss)
HT_KERNEL(mse_backward, const Tensor& x, const Tensor& t, const Tensor& dy, Tensor& dx)

namespace {

constexpr int64_t kRows = 64;
constexpr int64_t kNumbers = 1 << 14;

template <class T>
struct RowProducts {
  T x_norm, t_norm, cosine;
};

template <class T>
HT_INLINE inline RowProducts<T> row_products(int64_t c, const T* x, const T* t) {
  T xx = 0, tt = 0, xt = 0;
#pragma omp simd reduction(+ : xx, tt, xt)
  for (int64_t j = 0; j < c; ++j) {
    xx += x[j] * x[j];
    tt += t[j] * t[j];
    xt += x[j] * t[j];
  }
  const T least = T(1e-12);
  const T x_norm = std::sqrt(xx) < least ? least : std::sqrt(xx);
  const T t_norm = std::sqrt(tt) < least ? least : std::sqrt(tt);
  return {x_norm, t_norm, xt / (x_norm * t_norm)};
}

// d = beta d + a x - b t, beta 0 or 1
template <class T>
HT_INLINE inline void add_difference(int64_t c, T a, const T* x, T b, const T* t, T beta, T* d) {
  if (beta == T(0)) {
#pragma omp simd
    for (int64_t j = 0; j < c; ++j) d[j] = a * x[j] - b * t[j];
  } else {
#pragma omp simd
    for (int64_t j = 0; j < c; ++j) d[j] += a * x[j] - b * t[j];
  }
}

void check_pair(const char* op, const Var& x, const Tensor& t) {
  require(x.shape() == t.shape() && x.dtype() == t.dtype() && x.value().rank() == 2,
          "{}: x {} {}, t {} {}", op, dtype_name(x.dtype()), shape_text(x.shape()),
          dtype_name(t.dtype()), shape_text(t.shape()));
}

}  // namespace

namespace cpu {

void normalised_mse_forward(const Tensor& x, const Tensor& t, Tensor& loss) {
  with_real(x.dtype(), "normalised_mse", [&]<class T>() {
    const int64_t n = x.dim(0), c = x.dim(1);
    const T *xs = x.data<T>(), *ts = t.data<T>();
    const double sum = parallel_sum(n, kRows, [&](int64_t begin, int64_t end) {
      double part = 0;
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i) {
          const T *xi = xs + i * c, *ti = ts + i * c;
          const auto row = row_products(c, xi, ti);
          const T a = T(1) / row.x_norm, b = T(1) / row.t_norm;
          part += static_cast<double>(row_distance(c, xi, a, ti, b));
        }
      });
      return part;
    });
    *loss.data<T>() = static_cast<T>(sum / static_cast<double>(n));
  });
}

// (I - x^ x^^T)(x^ - t^) = cos x^ - t^ for unit vectors, cos = x^ . t^
void normalised_mse_backward(const Tensor& x, const Tensor& t, const Tensor& dy, double beta,
                             Tensor& dx) {
  with_real(x.dtype(), "normalised_mse", [&]<class T>() {
    const int64_t n = x.dim(0), c = x.dim(1);
    const T *xs = x.data<T>(), *ts = t.data<T>();
    const T of_loss = static_cast<T>(dy.item());
    T* out = dx.data<T>();
    parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i) {
          const T *xi = xs + i * c, *ti = ts + i * c;
          const auto row = row_products(c, xi, ti);
          const T k = T(2) * of_loss / (row.x_norm * static_cast<T>(n));
          const T a = k * row.cosine / row.x_norm, b = k / row.t_norm;
          add_difference(c, a, xi, b, ti, static_cast<T>(beta), out + i * c);
        }
      });
    });
  });
}

void mse_forward(const Tensor& x, const Tensor& t, Tensor& loss) {
  with_real(x.dtype(), "mse", [&]<class T>() {
    const T *xs = x.data<T>(), *ts = t.data<T>();
    const double sum = parallel_sum(x.numel(), kNumbers, [&](int64_t begin, int64_t end) {
      T part = 0;
      simd([&]()
               HT_INLINE { part = row_distance(end - begin, xs + begin, T(1), ts + begin, T(1)); });
      return static_cast<double>(part);
    });
    *loss.data<T>() = static_cast<T>(sum / static_cast<double>(x.numel()));
  });
}

void mse_backward(const Tensor& x, const Tensor& t, const Tensor& dy, Tensor& dx) {
  with_real(x.dtype(), "mse", [&]<class T>() {
    const T *xs = x.data<T>(), *ts = t.data<T>();
    const T k = static_cast<T>(2.0 * dy.item() / static_cast<double>(x.numel()));
    T* out = dx.data<T>();
    parallel_for(x.numel(), kNumbers, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
        add_difference(end - begin, k, xs + begin, k, ts + begin, T(0), out + begin);
      });
    });
  });
}

}  // namespace cpu

Var normalised_mse(const Var& x, const Tensor& t) {
  check_pair("normalised_mse", x, t);
  Tensor loss = Tensor::uninitialized({}, sum_dtype(x.dtype()), t.device());
  HT_RUN(normalised_mse_forward, t.device(), x.value(), t, loss);
  return x.tape().record("normalised_mse", {x}, loss, [x, t](const Tensor& dy) {
    auto [dx, beta] = x.grad_target();
    HT_RUN(normalised_mse_backward, dy.device(), x.value(), t, dy, beta, dx);
  });
}

Var mse(const Var& x, const Tensor& t) {
  check_pair("mse", x, t);
  Tensor loss = Tensor::uninitialized({}, sum_dtype(x.dtype()), t.device());
  HT_RUN(mse_forward, t.device(), x.value(), t, loss);
  return x.tape().record("mse", {x}, loss, [x, t](const Tensor& dy) {
    Tensor dx = x.value().like();
    HT_RUN(mse_backward, dy.device(), x.value(), t, dy, dx);
    x.add_grad(dx);
  });
}

}  // namespace halftone
