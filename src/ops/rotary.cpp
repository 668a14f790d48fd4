// Rotary position embedding: its table, and the turn there and back.
#include "halftone/ops/rotary.h"

#include <cmath>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "tensor/dispatch.h"

namespace halftone {

// direction +1 turns forward, -1 back. y may be x.
HT_KERNEL(rotate, const Tensor& x, const RotaryTable& table, int64_t heads, int64_t length,
          int64_t first, int direction, Tensor& y)

namespace {

template <class T>
void rotate_rows(int64_t n, int64_t width, int64_t heads, int64_t half, int64_t length,
                 int64_t first, const T* cosines, const T* sines, T direction, const T* x, T* y) {
  parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const T* c = cosines + (first + i % length) * half;
        const T* s = sines + (first + i % length) * half;
        for (int64_t h = 0; h < heads; ++h) {
          const T *a = x + i * width + h * 2 * half, *b = a + half;
          T *ya = y + i * width + h * 2 * half, *yb = ya + half;
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

// Where the turn of x goes: its own place, or another with what is not turned.
Tensor place_for(const Tensor& x, bool all_turned) {
  if (x.unique() && x.writable()) return x;
  return all_turned ? x.like() : x.clone();
}

}  // namespace

void cpu::rotate(const Tensor& x, const RotaryTable& table, int64_t heads, int64_t length,
                 int64_t first, int direction, Tensor& y) {
  with_real(x.dtype(), "rotary", [&]<class T>() {
    rotate_rows(x.dim(0), x.dim(1), heads, table.cos.dim(1), length, first, table.cos.data<T>(),
                table.sin.data<T>(), static_cast<T>(direction), x.data<T>(), y.data<T>());
  });
}

RotaryTable make_rotary_table(int64_t positions, const RotaryFrequencies& frequencies,
                              DType dtype) {
  const int64_t half = static_cast<int64_t>(frequencies.inverse.size());
  std::vector<double> cosines, sines;
  for (int64_t p = 0; p < positions; ++p)
    for (const double frequency : frequencies.inverse) {
      const double angle = static_cast<double>(p) * frequency;
      cosines.push_back(frequencies.factor * std::cos(angle));
      sines.push_back(frequencies.factor * std::sin(angle));
    }
  return {Tensor::of<double>({positions, half}, cosines).to(dtype),
          Tensor::of<double>({positions, half}, sines).to(dtype)};
}

Var rotary(Var x, const RotaryTable& table, int64_t heads, int64_t sequence_length,
           int64_t first_position) {
  require(x.value().rank() == 2 && x.dim(1) >= heads * 2 * table.cos.dim(1),
          "rotary: x {}, {} heads of {}", shape_text(x.shape()), heads, 2 * table.cos.dim(1));
  require(first_position + sequence_length <= table.cos.dim(0),
          "rotary: position {}, the table has {}", first_position + sequence_length - 1,
          table.cos.dim(0));
  const bool all = x.dim(1) == heads * 2 * table.cos.dim(1);
  Tensor y = place_for(x.value(), all);
  HT_RUN(rotate, y.device(), x.value(), table, heads, sequence_length, first_position, 1, y);
  x = x.without_value();
  return x.tape().record("rotary", {x}, y, [=](const Tensor& dy) {
    Tensor dx = place_for(dy, all);
    HT_RUN(rotate, dy.device(), dy, table, heads, sequence_length, first_position, -1, dx);
    x.add_grad(dx);
  });
}

}  // namespace halftone
