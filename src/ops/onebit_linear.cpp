// The product with signs between two value vectors, normalised where its rows are made.
#include "halftone/ops/onebit_linear.h"

#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "halftone/ops/linear.h"
#include "halftone/tensor/gemm.h"
#include "normalise_rows.h"
#include "ste.h"
#include "tensor/dispatch.h"
#include "tensor/gemm/sign_gemm.h"

namespace halftone {

HT_KERNEL(onebit_weight, const Tensor& latent, const Tensor& in_scale, const Tensor& out_scale,
          Tensor& w)
// z (N x O), and with the normalisation r (N).
HT_KERNEL(onebit_linear_forward, const Tensor& x, const Tensor& latent, const Tensor& in_scale,
          const Tensor& out_scale, const OneBitOptions& options, Tensor& z, Tensor& r)
// dy from dz where there is a normalisation (it may be dz; else it is), and dx = beta dx + dy M
// unless dx is undefined.
HT_KERNEL(onebit_linear_backward, const Tensor& dz, const Tensor& z, const Tensor& r,
          const Tensor& latent, const Tensor& in_scale, const Tensor& out_scale, Tensor& dy,
          double beta, Tensor& dx)
// dw = beta dw + ..., dh and dg from D = dy^T x; dw may be d.
HT_KERNEL(onebit_linear_unfold, const Tensor& d, const Tensor& latent, const Tensor& in_scale,
          const Tensor& out_scale, Ste ste, double beta, Tensor& dw, Tensor& dh, Tensor& dg)

namespace {

constexpr int64_t kOutputs = 32, kRows = 16;  // weights' rows a block, and activations'

// y = y_scale o (sign(W) (x_scale o x)) + beta y, or with sign(W)^T; F64 (gradient checks) as a
// plain product.
void multiply_signs(Transpose tw, const Tensor& x, const Tensor& w, const Tensor& x_scale,
                    const Tensor& y_scale, double beta, Tensor& y, const RowSteps& steps = {}) {
  if (x.dtype() == DType::f32) return sign_gemm(tw, x, w, x_scale, y_scale, beta, y, steps);
  const bool forward = tw == Transpose::yes;
  const Tensor m = onebit_weight(w, forward ? x_scale : y_scale, forward ? y_scale : x_scale);
  steps.before(0, x.dim(0));
  gemm(Transpose::no, tw, x, m, beta, y);
  steps.after(0, x.dim(0));
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

// Adds to the gradients of W, h and g what D = dy^T x makes them; d may be dw, where the gradient
// of W is written, beta times what it was included.
void add_gradients(const Var& latent, const Var& in_scale, const Var& out_scale, Ste ste,
                   const Tensor& d, double beta, Tensor& dw) {
  Tensor dh = out_scale.value().like(), dg = in_scale.value().like();
  HT_RUN(onebit_linear_unfold, d.device(), d, latent.value(), in_scale.value(), out_scale.value(),
         ste, beta, dw, dh, dg);
  if (out_scale.needs_grad()) out_scale.add_grad(dh);
  if (in_scale.needs_grad()) in_scale.add_grad(dg);
}

class OneBitMatrix : public MadeMatrix {
 public:
  OneBitMatrix(const Var& latent, const Var& in_scale, const Var& out_scale, Ste ste)
      : MadeMatrix({latent, in_scale, out_scale}), ste_(ste) {}

  const char* op() const override { return "onebit_linear"; }
  const Shape& shape() const override { return latent().shape(); }
  void make(Tensor& m) const override {
    HT_RUN(onebit_weight, m.device(), latent().value(), in_scale().value(), out_scale().value(), m);
  }
  void add_gradients(const Tensor& d) const override {
    auto [dw, beta] = latent().target_or_spare();
    halftone::add_gradients(latent(), in_scale(), out_scale(), ste_, d, beta, dw);
  }

 private:
  const Var& latent() const { return parameters()[0]; }
  const Var& in_scale() const { return parameters()[1]; }
  const Var& out_scale() const { return parameters()[2]; }

  Ste ste_;
};

void check(const Var& x, const Var& latent, const Var& in_scale, const Var& out_scale) {
  require(x.value().rank() == 2 && latent.value().rank() == 2 && x.dim(1) == latent.dim(1) &&
              in_scale.shape() == Shape{latent.dim(1)} && out_scale.shape() == Shape{latent.dim(0)},
          "onebit_linear: x {}, latent {}, in_scale {}, out_scale {}", shape_text(x.shape()),
          shape_text(latent.shape()), shape_text(in_scale.shape()), shape_text(out_scale.shape()));
}

}  // namespace

namespace cpu {

void onebit_weight(const Tensor& latent, const Tensor& in_scale, const Tensor& out_scale,
                   Tensor& w) {
  with_real(w.dtype(), "onebit_weight", [&]<class T>() {
    const int64_t i = latent.dim(1);
    const T *s = latent.data<T>(), *g = in_scale.data<T>(), *h = out_scale.data<T>();
    T* out = w.data<T>();
    parallel_for(w.dim(0), kOutputs, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t c = 0; c < i; ++c) out[r * i + c] = sign_of(s[r * i + c]) * h[r] * g[c];
    });
  });
}

void onebit_linear_forward(const Tensor& x, const Tensor& latent, const Tensor& in_scale,
                           const Tensor& out_scale, const OneBitOptions& options, Tensor& z,
                           Tensor& r) {
  const auto normalise = [&](int64_t begin, int64_t end) {
    normalise_rows(begin, end, z, options.eps, z, r);
  };
  multiply_signs(Transpose::yes, x, latent, in_scale, out_scale, 0, z,
                 options.post_layer_norm ? RowSteps{.after = normalise} : RowSteps{});
}

void onebit_linear_backward(const Tensor& dz, const Tensor& z, const Tensor& r,
                            const Tensor& latent, const Tensor& in_scale, const Tensor& out_scale,
                            Tensor& dy, double beta, Tensor& dx) {
  const bool norm = r.defined();
  const auto normalise_back = [&](int64_t begin, int64_t end) {
    normalise_rows_backward(begin, end, z, r, dz, dy);
  };
  if (dx.defined())
    multiply_signs(Transpose::no, dy, latent, out_scale, in_scale, beta, dx,
                   norm ? RowSteps{.before = normalise_back} : RowSteps{});
  else if (norm)
    parallel_for(dz.dim(0), kRows, normalise_back);
}

void onebit_linear_unfold(const Tensor& d, const Tensor& latent, const Tensor& in_scale,
                          const Tensor& out_scale, Ste ste, double beta, Tensor& dw, Tensor& dh,
                          Tensor& dg) {
  Tensor dg_parts = Tensor::uninitialized({divide_up(d.dim(0), kOutputs), d.dim(1)}, d.dtype());
  with_real(d.dtype(), "onebit_linear", [&]<class T>() {
    const Unfolded<T> u{.d = d.data<T>(),
                        .w = latent.data<T>(),
                        .g = in_scale.data<T>(),
                        .h = out_scale.data<T>(),
                        .dw = dw.data<T>(),
                        .dh = dh.data<T>(),
                        .dg_parts = dg_parts.data<T>(),
                        .beta = static_cast<T>(beta)};
    with_ste(ste, [&]<Ste kSte>() { unfold<kSte>(d.dim(0), d.dim(1), u); });
  });
  add_column_sums(dg_parts, dg, 0);
}

}  // namespace cpu

Tensor onebit_weight(const Tensor& latent, const Tensor& in_scale, const Tensor& out_scale) {
  Tensor w = latent.like();
  HT_RUN(onebit_weight, w.device(), latent, in_scale, out_scale, w);
  return w;
}

std::shared_ptr<const MadeMatrix> onebit_matrix(const Var& latent, const Var& in_scale,
                                                const Var& out_scale, Ste ste) {
  return std::make_shared<OneBitMatrix>(latent, in_scale, out_scale, ste);
}

Var onebit_linear(const Var& x, const Var& latent, const Var& in_scale, const Var& out_scale,
                  const Var& bias, const OneBitOptions& options) {
  check(x, latent, in_scale, out_scale);
  const int64_t n = x.dim(0), o = latent.dim(0);
  const DType dtype = x.dtype();
  const Device device = x.value().device();
  Tensor z = Tensor::uninitialized({n, o}, dtype, device), r;
  if (options.post_layer_norm) r = Tensor::uninitialized({n}, sum_dtype(dtype), device);
  HT_RUN(onebit_linear_forward, device, x.value(), latent.value(), in_scale.value(),
         out_scale.value(), options, z, r);
  Tensor out = z;
  if (bias.defined()) {
    if (options.post_layer_norm) out = z.clone();
    add_bias(bias.value(), out);
  }
  if (!options.post_layer_norm) z = {};  // backward does without

  return x.tape().record(
      "onebit_linear", {x, latent, in_scale, out_scale, bias}, out, [=](const Tensor& dz) {
        if (bias.needs_grad()) {
          auto [db, beta] = bias.grad_target();
          add_column_sums(dz, db, beta);
        }
        Tensor dy = r.defined() ? dz.reused() : dz;
        auto [dx, x_beta] = x.needs_grad() ? x.grad_target() : Var::Target{};
        HT_RUN(onebit_linear_backward, device, dz, z, r, latent.value(), in_scale.value(),
               out_scale.value(), dy, x_beta, dx);
        if (!latent.needs_grad() && !in_scale.needs_grad() && !out_scale.needs_grad()) return;
        auto [dw, beta] = latent.target_or_spare();
        Tensor d = beta == 0 ? dw : dw.like();
        gemm(Transpose::yes, Transpose::no, dy, x.value(), 0, d);
        add_gradients(latent, in_scale, out_scale, options.ste, d, beta, dw);
      });
}

}  // namespace halftone
