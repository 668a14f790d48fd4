// The product with signs that have one scale a row and group of inputs.
#include "halftone/ops/group_scaled_linear.h"

#include "group_scaled_parts.h"
#include "halftone/base/threads.h"
#include "halftone/ops/linear.h"
#include "halftone/tensor/gemm.h"
#include "ste.h"
#include "tensor/dispatch.h"
#include "tensor/gemm/sign_gemm.h"

namespace halftone {

// y = x M^T + beta y for tw = yes, else x M + beta y.
HT_KERNEL(group_scaled_multiply, Transpose tw, const Tensor& x, const Tensor& latent,
          const Tensor& scale, double beta, Tensor& y)

namespace {

constexpr const char* kGroupScaledOp = "group_scaled_linear";
constexpr int64_t kOutputs = 32;  // rows of the weight a block

// One group of a row of D: dW = beta dW + c D ste(W); returns dc = sum S D. dw may be d.
template <Ste ste, class T>
HT_INLINE inline T unfold_group(int64_t width, const T* d, const T* w, T c, T beta, T* dw) {
  T dc = 0;
#pragma omp simd reduction(+ : dc)
  for (int64_t j = 0; j < width; ++j) {
    const T before = beta == T(0) ? T(0) : dw[j];
    dc += w[j] >= T(0) ? d[j] : -d[j];
    dw[j] = before + c * d[j] * ste_factor<ste>(w[j]);
  }
  return dc;
}

GroupScaledGradients gradients_of(const Var& scale, const Var::Target& dw) {
  return {.dw = dw.tensor, .dscale = scale.value().like(), .beta = dw.beta};
}

class GroupScaledMatrix : public MadeMatrix {
 public:
  GroupScaledMatrix(const Var& latent, const Var& scale, Ste ste)
      : MadeMatrix({latent, scale}), ste_(ste) {}

  const char* op() const override { return kGroupScaledOp; }
  const Shape& shape() const override { return latent().shape(); }
  void make(const MadeMatrices& all, Tensor& m) const override {
    HT_RUN(group_scaled_weights, m.device(), parts(all), m);
  }
  void add_gradients(const MadeMatrices& all, const Tensor& d) const override {
    std::vector<GroupScaledGradients> to;
    for (const auto& m : all)
      to.push_back(gradients_of(of(m).scale(), of(m).latent().target_or_spare()));
    HT_RUN(group_scaled_unfold, d.device(), d, parts(all), to);
    for (size_t i = 0; i < all.size(); ++i)
      if (of(all[i]).scale().needs_grad()) of(all[i]).scale().add_grad(to[i].dscale);
  }

 private:
  const Var& latent() const { return parameters()[0]; }
  const Var& scale() const { return parameters()[1]; }

  static const GroupScaledMatrix& of(const std::shared_ptr<const MadeMatrix>& m) {
    return static_cast<const GroupScaledMatrix&>(*m);
  }
  static std::vector<GroupScaledPart> parts(const MadeMatrices& all) {
    std::vector<GroupScaledPart> out;
    for (const auto& m : all)
      out.push_back({of(m).latent().value(), of(m).scale().value(), of(m).ste_});
    return out;
  }

  Ste ste_;
};

void check(const Var& x, const Var& latent, const Var& scale) {
  require(x.value().rank() == 2 && latent.value().rank() == 2 && x.dim(1) == latent.dim(1) &&
              scale.value().rank() == 2 && scale.dim(0) == latent.dim(0) && scale.dim(1) > 0 &&
              latent.dim(1) % scale.dim(1) == 0,
          "group_scaled_linear: x {}, latent {}, scale {}", shape_text(x.shape()),
          shape_text(latent.shape()), shape_text(scale.shape()));
}

}  // namespace

namespace cpu {

void group_scaled_weights(const std::vector<GroupScaledPart>& parts, Tensor& w) {
  with_real(w.dtype(), "group_scaled_weight", [&]<class T>() {
    T* out = w.data<T>();
    for (const GroupScaledPart& part : parts) {
      const int64_t o = part.latent.dim(0), groups = part.scale.dim(1),
                    width = part.latent.dim(1) / groups;
      const T *s = part.latent.data<T>(), *c = part.scale.data<T>();
      parallel_for(o, kOutputs, [&](int64_t begin, int64_t end) {
        simd([&]() HT_INLINE {
          for (int64_t k = begin * groups; k < end * groups; ++k)
            for (int64_t j = k * width; j < (k + 1) * width; ++j)
              out[j] = s[j] >= T(0) ? c[k] : -c[k];
        });
      });
      out += part.latent.numel();
    }
  });
}

void group_scaled_multiply(Transpose tw, const Tensor& x, const Tensor& latent, const Tensor& scale,
                           double beta, Tensor& y) {
  if (x.dtype() != DType::f32 || scale.dim(1) > 1)
    return gemm(Transpose::no, tw, x, halftone::group_scaled_weight(latent, scale), beta, y);
  const Tensor ones = Tensor::full({latent.dim(1)}, DType::f32, 1),
               rows = scale.reshape({scale.dim(0)});
  const bool forward = tw == Transpose::yes;
  sign_gemm(tw, x, latent, forward ? ones : rows, forward ? rows : ones, beta, y);
}

void group_scaled_unfold(const Tensor& d, const std::vector<GroupScaledPart>& parts,
                         std::vector<GroupScaledGradients>& to) {
  with_real(d.dtype(), "group_scaled_linear", [&]<class T>() {
    const T* ds = d.data<T>();
    for (size_t i = 0; i < parts.size(); ++i) {
      const GroupScaledPart& part = parts[i];
      const int64_t groups = part.scale.dim(1), width = part.latent.dim(1) / groups;
      const T *w = part.latent.data<T>(), *c = part.scale.data<T>();
      T *dws = to[i].dw.data<T>(), *dcs = to[i].dscale.data<T>();
      const T b = static_cast<T>(to[i].beta);
      with_ste(part.ste, [&]<Ste kSte>() {
        parallel_for(part.latent.dim(0), kOutputs, [&](int64_t begin, int64_t end) {
          simd([&]() HT_INLINE {
            for (int64_t k = begin * groups; k < end * groups; ++k)
              dcs[k] = unfold_group<kSte>(width, ds + k * width, w + k * width, c[k], b,
                                          dws + k * width);
          });
        });
      });
      ds += part.latent.numel();
    }
  });
}

}  // namespace cpu

Tensor group_scaled_weight(const Tensor& latent, const Tensor& scale) {
  Tensor w = latent.like();
  const std::vector<GroupScaledPart> parts{{latent, scale}};
  HT_RUN(group_scaled_weights, w.device(), parts, w);
  return w;
}

std::shared_ptr<const MadeMatrix> group_scaled_matrix(const Var& latent, const Var& scale,
                                                      Ste ste) {
  return std::make_shared<GroupScaledMatrix>(latent, scale, ste);
}

Var group_scaled_linear(const Var& x, const Var& latent, const Var& scale, const Var& bias,
                        Ste ste) {
  check(x, latent, scale);
  const Device device = x.value().device();
  Tensor y = Tensor::uninitialized({x.dim(0), latent.dim(0)}, x.dtype(), device);
  HT_RUN(group_scaled_multiply, device, Transpose::yes, x.value(), latent.value(), scale.value(), 0,
         y);
  if (bias.defined()) add_bias(bias.value(), y);

  return x.tape().record(kGroupScaledOp, {x, latent, scale, bias}, y, [=](const Tensor& dy) {
    if (bias.needs_grad()) {
      auto [db, beta] = bias.grad_target();
      add_column_sums(dy, db, beta);
    }
    if (x.needs_grad()) {
      auto [dx, beta] = x.grad_target();
      HT_RUN(group_scaled_multiply, device, Transpose::no, dy, latent.value(), scale.value(), beta,
             dx);
    }
    if (!latent.needs_grad() && !scale.needs_grad()) return;
    const Var::Target dw = latent.target_or_spare();
    Tensor d = dw.beta == 0 ? dw.tensor : dw.tensor.like();
    gemm(Transpose::yes, Transpose::no, dy, x.value(), 0, d);
    std::vector<GroupScaledGradients> to{gradients_of(scale, dw)};
    const std::vector<GroupScaledPart> parts{{latent.value(), scale.value(), ste}};
    HT_RUN(group_scaled_unfold, device, d, parts, to);
    if (scale.needs_grad()) scale.add_grad(to[0].dscale);
  });
}

}  // namespace halftone
