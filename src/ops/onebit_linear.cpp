#include "halftone/ops/onebit_linear.h"

#include <cmath>

#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "halftone/ops/layer_norm.h"
#include "halftone/ops/linear.h"
#include "halftone/tensor/gemm.h"
#include "math.h"
#include "tensor/gemm/sign_gemm.h"

namespace halftone {
namespace {

constexpr int64_t kOutputs = 32, kRows = 16;  // weights' rows a block, and activations'

// y = y_scale o (sign(W) (x_scale o x)) + beta y, or with sign(W)^T; F64 (gradient checks) as a
// plain product.
void multiply_signs(Transpose tw, const Tensor& x, const Tensor& w, const Tensor& x_scale,
                    const Tensor& y_scale, double beta, Tensor& y, const RowSteps& steps = {}) {
  if (x.dtype() == DType::f32) return sign_gemm(tw, x, w, x_scale, y_scale, beta, y, steps);
  const Tensor &g = tw == Transpose::yes ? x_scale : y_scale,
               &h = tw == Transpose::yes ? y_scale : x_scale;
  const int64_t i = w.dim(1);
  Tensor m = Tensor::uninitialized(w.shape(), DType::f64);  // h S g
  for (int64_t k = 0; k < w.numel(); ++k)
    m.data<double>()[k] =
        sign_of(w.data<double>()[k]) * h.data<double>()[k / i] * g.data<double>()[k % i];
  steps.before(0, x.dim(0));
  gemm(Transpose::no, tw, x, m, beta, y);
  steps.after(0, x.dim(0));
}

template <Ste ste, class T>
HT_INLINE inline T ste_factor(T x) {
  if constexpr (ste == Ste::tanh) return T(1.001) - tanh_squared(x);
  if constexpr (ste == Ste::clipped) return std::abs(x) <= T(1) ? T(1) : T(0);
  return T(1);
}

// One row of D = dy^T x: dW += h g D ste(W), dg += h S D; returns dh = sum S g D. dw may be d.
template <Ste ste, class T>
HT_INLINE inline T unfold_row(int64_t c, const T* d, const T* w, const T* g, T h, T beta, T* dw,
                              T* dg) {
  T dh = 0;
#pragma omp simd reduction(+ : dh)
  for (int64_t j = 0; j < c; ++j) {
    const T signed_d = w[j] >= T(0) ? d[j] : -d[j];
    const T before = beta == T(0) ? T(0) : dw[j];
    dh += signed_d * g[j];
    dg[j] += h * signed_d;
    dw[j] = before + h * g[j] * d[j] * ste_factor<ste>(w[j]);
  }
  return dh;
}

template <class T>
struct Unfolded {
  const T *d, *w, *g, *h;
  T *dw, *dh, *dg_parts;
  T beta;
};

// dW, dh and, by block of rows, dg from D.
template <Ste ste, class T>
void unfold(int64_t o, int64_t i, const Unfolded<T>& u) {
  parallel_for(o, kOutputs, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      T* dg = u.dg_parts + begin / kOutputs * i;
      std::fill_n(dg, i, T(0));
      for (int64_t k = begin; k < end; ++k)
        u.dh[k] =
            unfold_row<ste>(i, u.d + k * i, u.w + k * i, u.g, u.h[k], u.beta, u.dw + k * i, dg);
    });
  });
}

template <class T>
void unfold(Ste ste, int64_t o, int64_t i, const Unfolded<T>& u) {
  if (ste == Ste::tanh) return unfold<Ste::tanh>(o, i, u);
  if (ste == Ste::clipped) return unfold<Ste::clipped>(o, i, u);
  return unfold<Ste::identity>(o, i, u);
}

void check(const Var& x, const Var& latent, const Var& in_scale, const Var& out_scale) {
  require(x.value().rank() == 2 && latent.value().rank() == 2 && x.dim(1) == latent.dim(1) &&
              in_scale.shape() == Shape{latent.dim(1)} && out_scale.shape() == Shape{latent.dim(0)},
          "onebit_linear: x {}, latent {}, in_scale {}, out_scale {}", shape_text(x.shape()),
          shape_text(latent.shape()), shape_text(in_scale.shape()), shape_text(out_scale.shape()));
}

}  // namespace

Var onebit_linear(const Var& x, const Var& latent, const Var& in_scale, const Var& out_scale,
                  const Var& bias, const OneBitOptions& options) {
  check(x, latent, in_scale, out_scale);
  const int64_t n = x.dim(0), i = latent.dim(1), o = latent.dim(0);
  const DType dtype = x.dtype();
  Tensor z = Tensor::uninitialized({n, o}, dtype), r;
  const auto normalise = [&](int64_t begin, int64_t end) {
    normalise_rows(begin, end, z, options.eps, z, r);
  };
  if (options.post_layer_norm) r = Tensor::uninitialized({n}, dtype);
  multiply_signs(Transpose::yes, x.value(), latent.value(), in_scale.value(), out_scale.value(), 0,
                 z, options.post_layer_norm ? RowSteps{.after = normalise} : RowSteps{});
  Tensor out = z;
  if (bias.defined()) {
    if (options.post_layer_norm) out = z.clone();
    add_bias(bias.value(), out);
  }
  if (!options.post_layer_norm) z = {};  // backward does without

  return x.tape().record(
      "onebit_linear", {x, latent, in_scale, out_scale, bias}, out, [=](const Tensor& dz) {
        with_real(dtype, "onebit_linear", [&]<class T>() {
          if (bias.needs_grad()) {
            auto [db, beta] = bias.grad_target();
            add_column_sums(dz, db, beta);
          }
          const bool norm = options.post_layer_norm;
          Tensor dy = norm ? dz.reused() : dz;
          const auto normalise_back = [&](int64_t begin, int64_t end) {
            normalise_rows_backward(begin, end, z, r, dz, dy);
          };
          if (x.needs_grad()) {
            auto [dx, beta] = x.grad_target();
            multiply_signs(Transpose::no, dy, latent.value(), out_scale.value(), in_scale.value(),
                           beta, dx, norm ? RowSteps{.before = normalise_back} : RowSteps{});
          } else if (norm) {
            parallel_for(n, kRows, normalise_back);
          }
          if (latent.needs_grad() || in_scale.needs_grad() || out_scale.needs_grad()) {
            auto [dw, beta] = latent.needs_grad()
                                  ? latent.grad_target()
                                  : Var::Target{Tensor::uninitialized({o, i}, dtype), 0};
            Tensor d = beta == 0 ? dw : Tensor::uninitialized({o, i}, dtype);
            gemm(Transpose::yes, Transpose::no, dy, x.value(), 0, d);
            Tensor dh = Tensor::uninitialized({o}, dtype);
            Tensor dg_parts = Tensor::uninitialized({divide_up(o, kOutputs), i}, dtype);
            unfold<T>(options.ste, o, i,
                      {.d = d.data<T>(),
                       .w = latent.value().data<T>(),
                       .g = in_scale.value().data<T>(),
                       .h = out_scale.value().data<T>(),
                       .dw = dw.template data<T>(),
                       .dh = dh.data<T>(),
                       .dg_parts = dg_parts.data<T>(),
                       .beta = static_cast<T>(beta)});
            if (out_scale.needs_grad()) out_scale.add_grad(dh);
            if (in_scale.needs_grad()) {
              auto [dg, g_beta] = in_scale.grad_target();
              add_column_sums(dg_parts, dg, g_beta);
            }
          }
        });
      });
}

}  // namespace halftone
