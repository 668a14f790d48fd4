// Groups of columns normalised by themselves: what stands behind linears that are one product.
#include "halftone/ops/group_norm.h"

#include <numeric>

#include "halftone/base/threads.h"
#include "row_math.h"
#include "tensor/dispatch.h"

namespace halftone {

using Widths = std::vector<int64_t>;

// plus may be undefined.
HT_KERNEL(group_norm_forward, const Tensor& x, const Widths& widths, double eps, const Tensor& plus,
          Tensor& y)
HT_KERNEL(group_norm_backward, const Tensor& x, const Widths& widths, double eps, const Tensor& dy,
          Tensor& dx)

namespace {

constexpr int64_t kRows = 16;

Tensor normed(const Tensor& x, const Widths& widths, double eps, const Tensor& plus) {
  Tensor y = x.like();
  HT_RUN(group_norm_forward, x.device(), x, widths, eps, plus, y);
  return y;
}

}  // namespace

namespace cpu {

void group_norm_forward(const Tensor& x, const Widths& widths, double eps, const Tensor& plus,
                        Tensor& y) {
  with_real(x.dtype(), "group_norm", [&]<class T>() {
    const T *in = x.data<T>(), *more = plus.defined() ? plus.data<T>() : nullptr;
    T* out = y.data<T>();
    const int64_t c = x.dim(1);
    parallel_for(x.dim(0), kRows, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
        for (int64_t i = begin * c; i < end * c;)
          for (const int64_t width : widths) {
            normalise_row(width, in + i, static_cast<T>(eps), out + i);
            for (int64_t j = i; more && j < i + width; ++j) out[j] += more[j];
            i += width;
          }
      });
    });
  });
}

void group_norm_backward(const Tensor& x, const Widths& widths, double eps, const Tensor& dy,
                         Tensor& dx) {
  with_real(x.dtype(), "group_norm", [&]<class T>() {
    const T *in = x.data<T>(), *d = dy.data<T>();
    T* out = dx.data<T>();
    const int64_t c = x.dim(1);
    parallel_for(x.dim(0), kRows, [&](int64_t begin, int64_t end) {
      std::vector<T> z(static_cast<size_t>(c));
      simd([&]() HT_INLINE {
        for (int64_t i = begin * c; i < end * c;)
          for (const int64_t width : widths) {
            const T r = normalise_row(width, in + i, static_cast<T>(eps), z.data());
            normalise_row_backward(width, z.data(), r, d + i, out + i);
            i += width;
          }
      });
    });
  });
}

}  // namespace cpu

Var group_norm(const Var& x, const Widths& widths, double eps, const Var& plus) {
  require(x.value().rank() == 2 &&
              x.dim(1) == std::accumulate(widths.begin(), widths.end(), int64_t{0}),
          "group_norm: x {}, groups of {}", shape_text(x.shape()), fmt::join(widths, ", "));
  require(!plus.defined() || plus.shape() == x.shape(), "group_norm: x {}, plus of another shape",
          shape_text(x.shape()));
  return x.tape().record("group_norm", {x, plus},
                         normed(x.value(), widths, eps, plus.defined() ? plus.value() : Tensor()),
                         [x, widths, eps, plus = plus.without_value()](const Tensor& dy) {
                           if (plus.needs_grad()) plus.add_grad(dy);
                           if (!x.needs_grad()) return;
                           Tensor dx = dy.like();
                           HT_RUN(group_norm_backward, dy.device(), x.value(), widths, eps, dy, dx);
                           x.add_grad(dx);
                         });
}

Var group_norm_again(const Var& x, const Widths& widths, double eps, const Var& plus) {
  const Var y = group_norm(x, widths, eps, plus);
  if (!y.needs_grad()) return y;
  return y.made_by([=] { return normed(x.value(), widths, eps, plus.value()); });
}

}  // namespace halftone
