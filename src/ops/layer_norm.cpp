#include "halftone/ops/layer_norm.h"

#include <cmath>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"

namespace halftone {
namespace {

constexpr int64_t kRows = 16;

template <class T>
void layer_norm_forward(int64_t n, int64_t c, const T* y, T eps, T* z, T* r) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const T* yi = y + i * c;
        T sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < c; ++j) sum += yi[j];
        const T mean = sum / static_cast<T>(c);
#pragma omp simd reduction(+ : squares)
        for (int64_t j = 0; j < c; ++j) squares += (yi[j] - mean) * (yi[j] - mean);
        const T ri = T(1) / std::sqrt(squares / static_cast<T>(c) + eps);
        for (int64_t j = 0; j < c; ++j) z[i * c + j] = (yi[j] - mean) * ri;
        r[i] = ri;
      }
    });
  });
}

template <class T>
void layer_norm_backward(int64_t n, int64_t c, const T* z, const T* r, const T* dz, T* dy) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const T *zi = z + i * c, *dzi = dz + i * c;
        T sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
        for (int64_t j = 0; j < c; ++j) {
          sum += dzi[j];
          dot += dzi[j] * zi[j];
        }
        sum /= static_cast<T>(c);
        dot /= static_cast<T>(c);
        for (int64_t j = 0; j < c; ++j) dy[i * c + j] = r[i] * (dzi[j] - sum - zi[j] * dot);
      }
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
  return y.tape().record("layer_norm", {y}, z, [y, z, r, n, c](const Tensor& dz) {
    Tensor dy = Tensor::uninitialized(dz.shape(), dz.dtype());
    with_real(dz.dtype(), "layer_norm", [&]<class T>() {
      layer_norm_backward(n, c, z.data<T>(), r.data<T>(), dz.data<T>(), dy.data<T>());
    });
    y.add_grad(dy);
  });
}

}  // namespace halftone
