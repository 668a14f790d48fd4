#include "halftone/ops/swiglu.h"

#include "halftone/base/threads.h"
#include "math.h"

namespace halftone {
namespace {

constexpr int64_t kBlock = 1 << 13;

template <class T>
void swiglu_forward(int64_t n, const T* gate, const T* up, T* y) {
  parallel_for(n, kBlock, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) y[i] = gate[i] * sigmoid(gate[i]) * up[i];
    });
  });
}

// dgate may be dy.
template <class T>
void swiglu_backward(int64_t n, const T* gate, const T* up, const T* dy, T* dgate, T* dup) {
  parallel_for(n, kBlock, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) {
        const T a = gate[i], s = sigmoid(a), d = dy[i];
        dup[i] = d * a * s;
        dgate[i] = d * up[i] * s * (T(1) + a * (T(1) - s));
      }
    });
  });
}

}  // namespace

Var swiglu(const Var& gate, const Var& up) {
  require(gate.shape() == up.shape() && gate.dtype() == up.dtype(), "swiglu: gate {}, up {}",
          shape_text(gate.shape()), shape_text(up.shape()));
  Tensor y = Tensor::uninitialized(gate.shape(), gate.dtype());
  with_real(y.dtype(), "swiglu", [&]<class T>() {
    swiglu_forward(y.numel(), gate.value().data<T>(), up.value().data<T>(), y.data<T>());
  });
  return gate.tape().record("swiglu", {gate, up}, y, [gate, up](const Tensor& dy) {
    Tensor dgate = dy.reused();
    Tensor dup = Tensor::uninitialized(dy.shape(), dy.dtype());
    with_real(dy.dtype(), "swiglu", [&]<class T>() {
      swiglu_backward(dy.numel(), gate.value().data<T>(), up.value().data<T>(), dy.data<T>(),
                      dgate.data<T>(), dup.data<T>());
    });
    if (gate.needs_grad()) gate.add_grad(dgate);
    if (up.needs_grad()) up.add_grad(dup);
  });
}

}  // namespace halftone
