#include "halftone/ops/onebit_linear.h"

#include <cmath>

#include "halftone/base/threads.h"
#include "halftone/ops/linear.h"
#include "halftone/ops/math.h"
#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

constexpr int64_t kRows = 16;
constexpr int64_t kColumns = 128;
constexpr int64_t kNumbers = 1 << 14;

// S = sign(W)
template <class T>
void expand_signs(int64_t n, const T* w, T* s) {
  parallel_for(n, kNumbers, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) s[i] = sign_of(w[i]);
    });
  });
}

// y = x o v, v a row vector
template <class T>
void scale_columns(int64_t n, int64_t c, const T* x, const T* v, T* y) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < c; ++j) y[i * c + j] = x[i * c + j] * v[j];
    });
  });
}

// out = LN(p o h) + bias, and each row's mean and r; without normalisation out = p o h + bias.
template <class T>
void finish_forward(int64_t n, int64_t o, const T* p, const T* h, const T* bias, bool normalise,
                    T eps, T* out, T* mean, T* r) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const T* pi = p + i * o;
        T* zi = out + i * o;
        if (normalise) {
          T sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
          for (int64_t j = 0; j < o; ++j) sum += pi[j] * h[j];
          const T m = sum / static_cast<T>(o);
#pragma omp simd reduction(+ : squares)
          for (int64_t j = 0; j < o; ++j) squares += (pi[j] * h[j] - m) * (pi[j] * h[j] - m);
          const T ri = T(1) / std::sqrt(squares / static_cast<T>(o) + eps);
          for (int64_t j = 0; j < o; ++j) zi[j] = (pi[j] * h[j] - m) * ri;
          mean[i] = m;
          r[i] = ri;
        } else {
          for (int64_t j = 0; j < o; ++j) zi[j] = pi[j] * h[j];
        }
        if (bias)
          for (int64_t j = 0; j < o; ++j) zi[j] += bias[j];
      }
    });
  });
}

// dy = the gradient at p o h
template <class T>
void layer_norm_backward(int64_t n, int64_t o, const T* p, const T* h, const T* mean, const T* r,
                         const T* dz, T* dy) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const T *pi = p + i * o, *dzi = dz + i * o;
        const T m = mean[i], ri = r[i];
        T sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
        for (int64_t j = 0; j < o; ++j) {
          sum += dzi[j];
          dot += dzi[j] * (pi[j] * h[j] - m) * ri;
        }
        sum /= static_cast<T>(o);
        dot /= static_cast<T>(o);
        for (int64_t j = 0; j < o; ++j)
          dy[i * o + j] = ri * (dzi[j] - sum - (pi[j] * h[j] - m) * ri * dot);
      }
    });
  });
}

// dv = beta dv + sum_n a o b over the rows
template <class T>
void add_products(int64_t n, int64_t c, const T* a, const T* b, T* dv, T beta) {
  parallel_for(c, kColumns, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      if (beta == T(0))
        for (int64_t j = begin; j < end; ++j) dv[j] = 0;
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = begin; j < end; ++j) dv[j] += a[i * c + j] * b[i * c + j];
    });
  });
}

// dW = beta dW + dS o ste(W)
template <class T>
void straight_through(int64_t n, Ste ste, const T* w, const T* ds, T* dw, T beta) {
  parallel_for(n, kNumbers, [&](int64_t begin, int64_t end) {
    const auto add = [&](auto factor) HT_INLINE {
      if (beta == T(0))
        for (int64_t i = begin; i < end; ++i) dw[i] = ds[i] * factor(w[i]);
      else
        for (int64_t i = begin; i < end; ++i) dw[i] += ds[i] * factor(w[i]);
    };
    simd([&]() HT_INLINE {
      switch (ste) {
        case Ste::tanh:
          return add([](T x) HT_INLINE { return T(1.001) - tanh_squared(x); });
        case Ste::identity:
          return add([](T) HT_INLINE { return T(1); });
        case Ste::clipped:
          return add([](T x) HT_INLINE { return std::abs(x) <= T(1) ? T(1) : T(0); });
      }
    });
  });
}

}  // namespace

Var onebit_linear(const Var& x, const Var& latent, const Var& in_scale, const Var& out_scale,
                  const Var& bias, const OneBitOptions& options) {
  require(x.value().rank() == 2 && latent.value().rank() == 2 && x.dim(1) == latent.dim(1) &&
              in_scale.shape() == Shape{latent.dim(1)} && out_scale.shape() == Shape{latent.dim(0)},
          "onebit_linear: x {}, latent {}, in_scale {}, out_scale {}", shape_text(x.shape()),
          shape_text(latent.shape()), shape_text(in_scale.shape()), shape_text(out_scale.shape()));
  const int64_t n = x.dim(0), i = latent.dim(1), o = latent.dim(0);
  const DType dtype = x.dtype();
  const auto scaled_input = [=] {  // u = x o g
    Tensor u = Tensor::uninitialized({n, i}, dtype);
    with_real(dtype, "onebit_linear", [&]<class T>() {
      scale_columns(n, i, x.value().data<T>(), in_scale.value().data<T>(), u.data<T>());
    });
    return u;
  };
  const auto signs = [=] {
    Tensor s = Tensor::uninitialized({o, i}, dtype);
    with_real(dtype, "onebit_linear",
              [&]<class T>() { expand_signs(o * i, latent.value().data<T>(), s.data<T>()); });
    return s;
  };
  Tensor p = Tensor::uninitialized({n, o}, dtype), out = Tensor::uninitialized({n, o}, dtype);
  Tensor mean = Tensor::uninitialized({n}, dtype), r = Tensor::uninitialized({n}, dtype);
  gemm(Transpose::no, Transpose::yes, scaled_input(), signs(), 0, p);
  with_real(dtype, "onebit_linear", [&]<class T>() {
    finish_forward(n, o, p.data<T>(), out_scale.value().data<T>(),
                   bias.defined() ? bias.value().data<T>() : nullptr, options.post_layer_norm,
                   static_cast<T>(options.eps), out.data<T>(), mean.data<T>(), r.data<T>());
  });

  return x.tape().record(
      "onebit_linear", {x, latent, in_scale, out_scale, bias}, out, [=](const Tensor& dz) {
        with_real(dtype, "onebit_linear", [&]<class T>() {
          const T* h = out_scale.value().data<T>();
          if (bias.needs_grad()) {
            auto [db, beta] = bias.grad_target();
            add_column_sums(dz, db, beta);
          }
          Tensor dp = Tensor::uninitialized({n, o}, dtype);
          const T* dy = dz.data<T>();
          if (options.post_layer_norm) {
            layer_norm_backward(n, o, p.data<T>(), h, mean.data<T>(), r.data<T>(), dy,
                                dp.data<T>());
            dy = dp.data<T>();
          }
          if (out_scale.needs_grad()) {
            auto [dh, beta] = out_scale.grad_target();
            add_products(n, o, dy, p.data<T>(), dh.template data<T>(), static_cast<T>(beta));
          }
          scale_columns(n, o, dy, h, dp.data<T>());
          if (latent.needs_grad()) {
            Tensor ds = Tensor::uninitialized({o, i}, dtype);
            gemm(Transpose::yes, Transpose::no, dp, scaled_input(), 0, ds);
            auto [dw, beta] = latent.grad_target();
            straight_through(o * i, options.ste, latent.value().data<T>(), ds.data<T>(),
                             dw.template data<T>(), static_cast<T>(beta));
          }
          if (x.needs_grad() || in_scale.needs_grad()) {
            Tensor du = Tensor::uninitialized({n, i}, dtype);
            gemm(Transpose::no, Transpose::no, dp, signs(), 0, du);
            if (in_scale.needs_grad()) {
              auto [dg, beta] = in_scale.grad_target();
              add_products(n, i, du.data<T>(), x.value().data<T>(), dg.template data<T>(),
                           static_cast<T>(beta));
            }
            if (x.needs_grad()) {
              scale_columns(n, i, du.data<T>(), in_scale.value().data<T>(), du.data<T>());
              x.add_grad(du);
            }
          }
        });
      });
}

}  // namespace halftone
