// The product with signs between two value vectors, normalised where its rows are made.
#include "halftone/ops/onebit_linear.h"

#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "halftone/ops/linear.h"
#include "halftone/tensor/gemm.h"
#include "normalise_rows.h"
#include "onebit_parts.h"
#include "ste.h"
#include "tensor/dispatch.h"
#include "tensor/gemm/sign_gemm.h"

namespace halftone {

// z (N x O), and with the normalisation r (N).
HT_KERNEL(onebit_linear_forward, const Tensor& x, const Tensor& latent, const Tensor& in_scale,
          const Tensor& out_scale, const OneBitOptions& options, Tensor& z, Tensor& r)
// dy from dz where there is a normalisation (it may be dz; else it is), and dx = beta dx + dy M
// unless dx is undefined.
HT_KERNEL(onebit_linear_backward, const Tensor& dz, const Tensor& z, const Tensor& r,
          const Tensor& latent, const Tensor& in_scale, const Tensor& out_scale, Tensor& dy,
          double beta, Tensor& dx)

namespace {

constexpr const char* kOneBitOp = "onebit_linear";
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

// Gradients of W, h and g, to be added once they are whole but for that of W, which is added where
// it is written: into `dw`, beta times what it was included.
OneBitGradients gradients_of(const Var& in_scale, const Var& out_scale, const Var::Target& dw) {
  return {.dw = dw.tensor,
          .dh = out_scale.value().like(),
          .dg = in_scale.value().like(),
          .beta = dw.beta};
}

void add_scales(const Var& in_scale, const Var& out_scale, const OneBitGradients& from) {
  if (out_scale.needs_grad()) out_scale.add_grad(from.dh);
  if (in_scale.needs_grad()) in_scale.add_grad(from.dg);
}

class OneBitMatrix : public MadeMatrix {
 public:
  OneBitMatrix(const Var& latent, const Var& in_scale, const Var& out_scale,
               const OneBitOptions& options)
      : MadeMatrix({latent, in_scale, out_scale}, options.post_layer_norm ? options.eps : 0),
        ste_(options.ste) {}

  const char* op() const override { return kOneBitOp; }
  const Shape& shape() const override { return latent().shape(); }
  void make(const MadeMatrices& all, Tensor& m) const override {
    HT_RUN(onebit_weights, m.device(), parts(all), m);
  }
  void add_gradients(const MadeMatrices& all, const Tensor& d) const override {
    std::vector<OneBitGradients> to;
    for (const auto& each : all) {
      const OneBitMatrix& m = of(each);
      to.push_back(gradients_of(m.in_scale(), m.out_scale(), m.latent().target_or_spare()));
    }
    HT_RUN(onebit_unfold, d.device(), d, parts(all), to);
    for (size_t i = 0; i < all.size(); ++i)
      add_scales(of(all[i]).in_scale(), of(all[i]).out_scale(), to[i]);
  }

 private:
  const Var& latent() const { return parameters()[0]; }
  const Var& in_scale() const { return parameters()[1]; }
  const Var& out_scale() const { return parameters()[2]; }

  static const OneBitMatrix& of(const std::shared_ptr<const MadeMatrix>& m) {
    return static_cast<const OneBitMatrix&>(*m);
  }
  static std::vector<OneBitPart> parts(const MadeMatrices& all) {
    std::vector<OneBitPart> out;
    for (const auto& m : all)
      out.push_back({of(m).latent().value(), of(m).in_scale().value(), of(m).out_scale().value(),
                     of(m).ste_});
    return out;
  }

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

void onebit_weights(const std::vector<OneBitPart>& parts, Tensor& w) {
  with_real(w.dtype(), "onebit_weight", [&]<class T>() {
    const int64_t i = w.dim(1);
    T* out = w.data<T>();
    for (const OneBitPart& part : parts) {
      const int64_t o = part.latent.dim(0);
      const T *s = part.latent.data<T>(), *g = part.in_scale.data<T>(),
              *h = part.out_scale.data<T>();
      parallel_for(o, kOutputs, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r)
          for (int64_t c = 0; c < i; ++c) out[r * i + c] = sign_of(s[r * i + c]) * h[r] * g[c];
      });
      out += o * i;
    }
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

void onebit_unfold(const Tensor& d, const std::vector<OneBitPart>& parts,
                   std::vector<OneBitGradients>& to) {
  const int64_t c = d.dim(1);
  int64_t row = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const OneBitPart& part = parts[i];
    const int64_t o = part.latent.dim(0);
    const Tensor rows = d.rows(row, row + o);
    Tensor dg_parts = Tensor::uninitialized({divide_up(o, kOutputs), c}, d.dtype());
    with_real(d.dtype(), "onebit_linear", [&]<class T>() {
      const Unfolded<T> u{.d = rows.data<T>(),
                          .w = part.latent.data<T>(),
                          .g = part.in_scale.data<T>(),
                          .h = part.out_scale.data<T>(),
                          .dw = to[i].dw.data<T>(),
                          .dh = to[i].dh.data<T>(),
                          .dg_parts = dg_parts.data<T>(),
                          .beta = static_cast<T>(to[i].beta)};
      with_ste(part.ste, [&]<Ste kSte>() { unfold<kSte>(o, c, u); });
    });
    add_column_sums(dg_parts, to[i].dg, 0);
    row += o;
  }
}

}  // namespace cpu

Tensor onebit_weight(const Tensor& latent, const Tensor& in_scale, const Tensor& out_scale) {
  Tensor w = latent.like();
  const std::vector<OneBitPart> parts{{latent, in_scale, out_scale}};
  HT_RUN(onebit_weights, w.device(), parts, w);
  return w;
}

std::shared_ptr<const MadeMatrix> onebit_matrix(const Var& latent, const Var& in_scale,
                                                const Var& out_scale,
                                                const OneBitOptions& options) {
  return std::make_shared<OneBitMatrix>(latent, in_scale, out_scale, options);
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
      kOneBitOp, {x, latent, in_scale, out_scale, bias}, out, [=](const Tensor& dz) {
        if (bias.needs_grad()) {
          auto [db, beta] = bias.grad_target();
          add_column_sums(dz, db, beta);
        }
        Tensor dy = r.defined() ? dz.reused() : dz;
        auto [dx, x_beta] = x.needs_grad() ? x.grad_target() : Var::Target{};
        HT_RUN(onebit_linear_backward, device, dz, z, r, latent.value(), in_scale.value(),
               out_scale.value(), dy, x_beta, dx);
        if (!latent.needs_grad() && !in_scale.needs_grad() && !out_scale.needs_grad()) return;
        const Var::Target dw = latent.target_or_spare();
        Tensor d = dw.beta == 0 ? dw.tensor : dw.tensor.like();
        gemm(Transpose::yes, Transpose::no, dy, x.value(), 0, d);
        std::vector<OneBitGradients> to{gradients_of(in_scale, out_scale, dw)};
        const std::vector<OneBitPart> parts{
            {latent.value(), in_scale.value(), out_scale.value(), options.ste}};
        HT_RUN(onebit_unfold, device, d, parts, to);
        add_scales(in_scale, out_scale, to[0]);
      });
}

}  // namespace halftone
