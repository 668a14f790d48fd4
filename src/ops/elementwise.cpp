// Sums and multiples of activations.
#include "halftone/ops/elementwise.h"

#include "halftone/tensor/arithmetic.h"
#include "tensor/dispatch.h"

namespace halftone {

HT_KERNEL(weighted_sum_forward, const Tensor& x, const Tensor& w, Tensor& y)

// In one run: it weighs the outputs of gradient checks.
void cpu::weighted_sum_forward(const Tensor& x, const Tensor& w, Tensor& y) {
  with_real(x.dtype(), "weighted_sum", [&]<class T>() {
    const T *xs = x.data<T>(), *ws = w.data<T>();
    double sum = 0;
    for (int64_t i = 0; i < w.numel(); ++i) sum += static_cast<double>(xs[i]) * ws[i];
    *y.data<T>() = static_cast<T>(sum);
  });
}

Var add(const Var& a, const Var& b) {
  Tensor y = a.value().like();
  add(a.value(), b.value(), y);
  return a.tape().record("add", {a, b}, y,
                         [a = a.without_value(), b = b.without_value()](const Tensor& dy) {
                           if (a.needs_grad()) a.add_grad(dy);
                           if (b.needs_grad()) b.add_grad(dy);
                         });
}

Var scale(const Var& x, double c) {
  Tensor y = x.value().like();
  scale(x.value(), c, y);
  return x.tape().record("scale", {x}, y, [x = x.without_value(), c](const Tensor& dy) {
    Tensor dx = dy.like();
    scale(dy, c, dx);
    x.add_grad(dx);
  });
}

Var cast(const Var& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  return x.tape().record(
      "cast", {x}, x.value().to(dtype),
      [x = x.without_value()](const Tensor& dy) { x.add_grad(dy.to(x.dtype())); });
}

Var weighted_sum(const Var& x, const Tensor& w) {
  require(x.value().numel() == w.numel() && x.dtype() == w.dtype(),
          "weighted_sum: {} and weights {}", shape_text(x.shape()), shape_text(w.shape()));
  Tensor y = Tensor::uninitialized({}, x.dtype(), x.value().device());
  HT_RUN(weighted_sum_forward, y.device(), x.value(), w, y);
  return x.tape().record("weighted_sum", {x}, y, [x = x.without_value(), w](const Tensor& dy) {
    Tensor dx = w.like();
    scale(w, dy.item(), dx);
    x.add_grad(dx.reshape(x.shape()));
  });
}

}  // namespace halftone
