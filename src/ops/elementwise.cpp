#include "halftone/ops/elementwise.h"

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"

namespace halftone {
namespace {

constexpr int64_t kBlock = 1 << 14;

template <class T>
void add_forward(int64_t n, const T* a, const T* b, T* y) {
  parallel_for(n, kBlock, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) y[i] = a[i] + b[i];
    });
  });
}

template <class T>
void scale_forward(int64_t n, const T* x, T c, T* y) {
  parallel_for(n, kBlock, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) y[i] = c * x[i];
    });
  });
}

Tensor scaled(const Tensor& x, double c) {
  Tensor y = Tensor::uninitialized(x.shape(), x.dtype());
  with_real(x.dtype(), "scale", [&]<class T>() {
    scale_forward(x.numel(), x.data<T>(), static_cast<T>(c), y.data<T>());
  });
  return y;
}

}  // namespace

Var add(const Var& a, const Var& b) {
  require(a.shape() == b.shape() && a.dtype() == b.dtype(), "add: {} {} and {} {}",
          dtype_name(a.dtype()), shape_text(a.shape()), dtype_name(b.dtype()),
          shape_text(b.shape()));
  Tensor y = Tensor::uninitialized(a.shape(), a.dtype());
  with_real(a.dtype(), "add", [&]<class T>() {
    add_forward(y.numel(), a.value().data<T>(), b.value().data<T>(), y.data<T>());
  });
  return a.tape().record("add", {a, b}, y,
                         [a = a.without_value(), b = b.without_value()](const Tensor& dy) {
                           if (a.needs_grad()) a.add_grad(dy);
                           if (b.needs_grad()) b.add_grad(dy);
                         });
}

Var scale(const Var& x, double c) {
  return x.tape().record(
      "scale", {x}, scaled(x.value(), c),
      [x = x.without_value(), c](const Tensor& dy) { x.add_grad(scaled(dy, c)); });
}

Var weighted_sum(const Var& x, const Tensor& w) {
  require(x.value().numel() == w.numel() && x.dtype() == w.dtype(),
          "weighted_sum: {} and weights {}", shape_text(x.shape()), shape_text(w.shape()));
  Tensor y = Tensor::zeros({}, x.dtype());
  with_real(x.dtype(), "weighted_sum", [&]<class T>() {
    double sum = 0;
    for (int64_t i = 0; i < w.numel(); ++i)
      sum += static_cast<double>(x.value().data<T>()[i]) * w.data<T>()[i];
    *y.data<T>() = static_cast<T>(sum);
  });
  return x.tape().record("weighted_sum", {x}, y, [x = x.without_value(), w](const Tensor& dy) {
    x.add_grad(scaled(w.reshape(x.shape()), dy.item()));
  });
}

}  // namespace halftone
