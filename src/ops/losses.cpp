#include "halftone/ops/losses.h"

#include <cmath>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"

namespace halftone {
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

template <class T>
double normalised_mse_forward(int64_t n, int64_t c, const T* x, const T* t) {
  return parallel_sum(n, kRows,
                      [&](int64_t begin, int64_t end) {
                        double sum = 0;
                        simd([&]() HT_INLINE {
                          for (int64_t i = begin; i < end; ++i) {
                            const T *xi = x + i * c, *ti = t + i * c;
                            const auto row = row_products(c, xi, ti);
                            const T a = T(1) / row.x_norm, b = T(1) / row.t_norm;
                            T distance = 0;
#pragma omp simd reduction(+ : distance)
                            for (int64_t j = 0; j < c; ++j)
                              distance += (xi[j] * a - ti[j] * b) * (xi[j] * a - ti[j] * b);
                            sum += static_cast<double>(distance);
                          }
                        });
                        return sum;
                      }) /
         static_cast<double>(n);
}

// (I - x^ x^^T)(x^ - t^) = cos x^ - t^ for unit vectors, cos = x^ . t^
template <class T>
void normalised_mse_backward(int64_t n, int64_t c, const T* x, const T* t, T dy, T* dx, T beta) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const T *xi = x + i * c, *ti = t + i * c;
        T* dxi = dx + i * c;
        const auto row = row_products(c, xi, ti);
        const T k = T(2) * dy / (row.x_norm * static_cast<T>(n));
        const T a = k * row.cosine / row.x_norm, b = k / row.t_norm;
        if (beta == T(0))
          for (int64_t j = 0; j < c; ++j) dxi[j] = a * xi[j] - b * ti[j];
        else
          for (int64_t j = 0; j < c; ++j) dxi[j] += a * xi[j] - b * ti[j];
      }
    });
  });
}

void check_pair(const char* op, const Var& x, const Tensor& t) {
  require(x.shape() == t.shape() && x.dtype() == t.dtype() && x.value().rank() == 2,
          "{}: x {} {}, t {} {}", op, dtype_name(x.dtype()), shape_text(x.shape()),
          dtype_name(t.dtype()), shape_text(t.shape()));
}

}  // namespace

Var normalised_mse(const Var& x, const Tensor& t) {
  check_pair("normalised_mse", x, t);
  const int64_t n = x.dim(0), c = x.dim(1);
  const double loss = with_real(x.dtype(), "normalised_mse", [&]<class T>() {
    return normalised_mse_forward(n, c, x.value().data<T>(), t.data<T>());
  });
  return x.tape().record(
      "normalised_mse", {x}, Tensor::scalar(loss, x.dtype()), [=](const Tensor& dy) {
        auto [dx, beta] = x.grad_target();
        with_real(x.dtype(), "normalised_mse", [&, dx = dx, beta = beta]<class T>() {
          Tensor target = dx;
          normalised_mse_backward(n, c, x.value().data<T>(), t.data<T>(), static_cast<T>(dy.item()),
                                  target.data<T>(), static_cast<T>(beta));
        });
      });
}

Var mse(const Var& x, const Tensor& t) {
  check_pair("mse", x, t);
  const int64_t n = t.numel();
  const double loss = with_real(x.dtype(), "mse", [&]<class T>() {
    const T *xs = x.value().data<T>(), *ts = t.data<T>();
    return parallel_sum(n, kNumbers,
                        [&](int64_t begin, int64_t end) {
                          double sum = 0;
                          for (int64_t i = begin; i < end; ++i) {
                            const double d =
                                static_cast<double>(xs[i]) - static_cast<double>(ts[i]);
                            sum += d * d;
                          }
                          return sum;
                        }) /
           static_cast<double>(n);
  });
  return x.tape().record("mse", {x}, Tensor::scalar(loss, x.dtype()), [=](const Tensor& dy) {
    Tensor dx = Tensor::uninitialized(x.shape(), x.dtype());
    with_real(x.dtype(), "mse", [&]<class T>() {
      const T *xs = x.value().data<T>(), *ts = t.data<T>();
      T* out = dx.data<T>();
      const T k = static_cast<T>(2.0 * dy.item() / static_cast<double>(n));
      for (int64_t i = 0; i < n; ++i) out[i] = k * (xs[i] - ts[i]);
    });
    x.add_grad(dx);
  });
}

}  // namespace halftone
