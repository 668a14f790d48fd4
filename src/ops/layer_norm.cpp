#include "halftone/ops/layer_norm.h"

#include "halftone/base/threads.h"
#include "halftone/ops/row_math.h"

namespace halftone {
namespace {

constexpr int64_t kRows = 16;

template <class T>
void layer_norm_forward(int64_t n, int64_t c, const T* y, T eps, T* z, T* r) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) r[i] = normalise_row(c, y + i * c, eps, z + i * c);
    });
  });
}

template <class T>
void layer_norm_backward(int64_t n, int64_t c, const T* z, const T* r, const T* dz, T* dy) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i)
        normalise_row_backward(c, z + i * c, r[i], dz + i * c, dy + i * c);
    });
  });
}

}  // namespace

Var layer_norm(const Var& y, double eps) {
  require(y.value().rank() == 2, "layer_norm: {}", shape_text(y.shape()));
  const int64_t n = y.dim(0), c = y.dim(1);
  Tensor z = Tensor::uninitialized(y.shape(), y.dtype());
  Tensor r = Tensor::uninitialized({n}, y.dtype());
  with_real(y.dtype(), "layer_norm", [&]<class T>() {
    layer_norm_forward(n, c, y.value().data<T>(), static_cast<T>(eps), z.data<T>(), r.data<T>());
  });
  return y.tape().record(
      "layer_norm", {y}, z, [y = y.without_value(), z, r, n, c](const Tensor& dz) {
        Tensor dy = Tensor::uninitialized(dz.shape(), dz.dtype());
        with_real(dz.dtype(), "layer_norm", [&]<class T>() {
          layer_norm_backward(n, c, z.data<T>(), r.data<T>(), dz.data<T>(), dy.data<T>());
        });
        y.add_grad(dy);
      });
}

}  // namespace halftone
