#include "halftone/ops/rotary.h"

#include <cmath>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"

namespace halftone {
namespace {

// direction +1 rotates forward, -1 back. y may be x.
template <class T>
void rotate(int64_t n, int64_t heads, int64_t half, int64_t length, int64_t first, const T* cosines,
            const T* sines, T direction, const T* x, T* y) {
  parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const T* c = cosines + (first + i % length) * half;
        const T* s = sines + (first + i % length) * half;
        for (int64_t h = 0; h < heads; ++h) {
          const T *a = x + (i * heads + h) * 2 * half, *b = a + half;
          T *ya = y + (i * heads + h) * 2 * half, *yb = ya + half;
#pragma omp simd
          for (int64_t j = 0; j < half; ++j) {
            const T aj = a[j], bj = b[j], sj = direction * s[j];
            ya[j] = aj * c[j] - bj * sj;
            yb[j] = bj * c[j] + aj * sj;
          }
        }
      }
    });
  });
}

Tensor rotated(const Tensor& x, const RotaryTable& table, int64_t heads, int64_t length,
               int64_t first, int direction, Tensor y) {
  with_real(x.dtype(), "rotary", [&]<class T>() {
    rotate(x.dim(0), heads, table.cos.dim(1), length, first, table.cos.data<T>(),
           table.sin.data<T>(), static_cast<T>(direction), x.data<T>(), y.data<T>());
  });
  return y;
}

}  // namespace

RotaryTable make_rotary_table(int64_t positions, const RotaryFrequencies& frequencies,
                              DType dtype) {
  const int64_t half = static_cast<int64_t>(frequencies.inverse.size());
  Tensor cosines = Tensor::uninitialized({positions, half}, DType::f64), sines = cosines.clone();
  for (int64_t p = 0; p < positions; ++p)
    for (int64_t j = 0; j < half; ++j) {
      const double angle = static_cast<double>(p) * frequencies.inverse[j];
      cosines.data<double>()[p * half + j] = frequencies.factor * std::cos(angle);
      sines.data<double>()[p * half + j] = frequencies.factor * std::sin(angle);
    }
  return {cosines.to(dtype), sines.to(dtype)};
}

Var rotary(const Var& x, const RotaryTable& table, int64_t heads, int64_t sequence_length,
           int64_t first_position) {
  require(x.value().rank() == 2 && x.dim(1) == heads * 2 * table.cos.dim(1),
          "rotary: x {}, {} heads of {}", shape_text(x.shape()), heads, 2 * table.cos.dim(1));
  require(first_position + sequence_length <= table.cos.dim(0),
          "rotary: position {}, the table has {}", first_position + sequence_length - 1,
          table.cos.dim(0));
  return x.tape().record(
      "rotary", {x},
      rotated(x.value(), table, heads, sequence_length, first_position, 1,
              Tensor::uninitialized(x.shape(), x.dtype())),
      [=, x = x.without_value()](const Tensor& dy) {
        x.add_grad(rotated(dy, table, heads, sequence_length, first_position, -1, dy.reused()));
      });
}

}  // namespace halftone
