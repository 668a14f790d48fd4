// Loops over numbers that ops, gradients and their sums share.
#include "halftone/tensor/arithmetic.h"

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "tensor/dispatch.h"

namespace halftone {

HT_KERNEL(add, const Tensor& a, const Tensor& b, Tensor& out)
HT_KERNEL(scale, const Tensor& x, double c, Tensor& out)
HT_KERNEL(shift, const Tensor& x, double c, Tensor& out)
HT_KERNEL(scale_by, const Tensor& factor, Tensor& x)

namespace {
constexpr int64_t kBlock = 1 << 14;
}

namespace cpu {

void add(const Tensor& a, const Tensor& b, Tensor& out) {
  with_real(out.dtype(), "add", [&]<class T>() {
    const T *as = a.data<T>(), *bs = b.data<T>();
    T* y = out.data<T>();
    parallel_for(out.numel(), kBlock, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i) y[i] = as[i] + bs[i];
      });
    });
  });
}

void scale(const Tensor& x, double c, Tensor& out) {
  with_real(out.dtype(), "scale", [&]<class T>() {
    const T* xs = x.data<T>();
    const T k = static_cast<T>(c);
    T* y = out.data<T>();
    parallel_for(out.numel(), kBlock, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i) y[i] = k * xs[i];
      });
    });
  });
}

void shift(const Tensor& x, double c, Tensor& out) {
  with_real(out.dtype(), "shifted", [&]<class T>() {
    const T* xs = x.data<T>();
    T* y = out.data<T>();
    for (int64_t i = 0; i < out.numel(); ++i) y[i] = xs[i] + static_cast<T>(c);
  });
}

// A factor of 1 leaves x untouched.
void scale_by(const Tensor& factor, Tensor& x) {
  if (factor.item() != 1.0) cpu::scale(x, factor.item(), x);
}

}  // namespace cpu

void add(const Tensor& a, const Tensor& b, Tensor& out) {
  require(a.shape() == b.shape() && a.shape() == out.shape() && a.dtype() == b.dtype() &&
              a.dtype() == out.dtype(),
          "add: {} {} and {} {} into {} {}", dtype_name(a.dtype()), shape_text(a.shape()),
          dtype_name(b.dtype()), shape_text(b.shape()), dtype_name(out.dtype()),
          shape_text(out.shape()));
  HT_RUN(add, out.device(), a, b, out);
}

void scale(const Tensor& x, double c, Tensor& out) {
  require(x.shape() == out.shape() && x.dtype() == out.dtype(), "scale: {} {} into {} {}",
          dtype_name(x.dtype()), shape_text(x.shape()), dtype_name(out.dtype()),
          shape_text(out.shape()));
  HT_RUN(scale, out.device(), x, c, out);
}

void scale_by(const Tensor& factor, Tensor& x) {
  require(factor.numel() == 1, "scale_by: a factor {}", shape_text(factor.shape()));
  HT_RUN(scale_by, x.device(), factor, x);
}

Tensor shifted(const Tensor& x, double c) {
  const Tensor wide = x.dtype() == DType::f64 ? x : x.to(DType::f32);
  Tensor out = wide.like();
  HT_RUN(shift, out.device(), wide, c, out);
  return out;
}

void scale_rows(const Tensor& factors, Tensor& x) {
  require(x.rank() > 0 && factors.shape() == Shape{x.dim(0)}, "scale_rows: {} of {}",
          shape_text(factors.shape()), shape_text(x.shape()));
  const int64_t width = x.numel() / std::max<int64_t>(x.dim(0), 1);
  const float* c = factors.data<float>();
  float* out = x.data<float>();
  for (int64_t i = 0; i < x.numel(); ++i) out[i] *= c[i / width];
}

void fill_normal(Tensor& x, double deviation, Rng& rng) {
  float* out = x.data<float>();
  for (int64_t i = 0; i < x.numel(); ++i) out[i] = static_cast<float>(deviation * rng.normal());
}

}  // namespace halftone
