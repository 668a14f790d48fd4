#include "halftone/ops/layer_norm.h"

#include "halftone/base/threads.h"
#include "row_math.h"

namespace halftone {
namespace {
constexpr int64_t kRows = 16;
}

void normalise_rows(int64_t begin, int64_t end, const Tensor& y, double eps, Tensor& z, Tensor& r) {
  with_real(y.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = y.dim(1);
    const T* in = y.data<T>();
    T *out = z.data<T>(), *rs = r.data<T>();
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i)
        rs[i] = normalise_row(c, in + i * c, static_cast<T>(eps), out + i * c);
    });
  });
}

void normalise_rows_backward(int64_t begin, int64_t end, const Tensor& z, const Tensor& r,
                             const Tensor& dz, Tensor& dy) {
  with_real(dz.dtype(), "layer_norm", [&]<class T>() {
    const int64_t c = z.dim(1);
    const T *zs = z.data<T>(), *rs = r.data<T>(), *in = dz.data<T>();
    T* out = dy.data<T>();
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i)
        normalise_row_backward(c, zs + i * c, rs[i], in + i * c, out + i * c);
    });
  });
}

Var layer_norm(const Var& y, double eps) {
  require(y.value().rank() == 2, "layer_norm: {}", shape_text(y.shape()));
  const int64_t n = y.dim(0);
  Tensor z = Tensor::uninitialized(y.shape(), y.dtype());
  Tensor r = Tensor::uninitialized({n}, y.dtype());
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    normalise_rows(begin, end, y.value(), eps, z, r);
  });
  return y.tape().record("layer_norm", {y}, z, [y = y.without_value(), n, z, r](const Tensor& dz) {
    Tensor dy = Tensor::uninitialized(dz.shape(), dz.dtype());
    parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
      normalise_rows_backward(begin, end, z, r, dz, dy);
    });
    y.add_grad(dy);
  });
}

}  // namespace halftone
