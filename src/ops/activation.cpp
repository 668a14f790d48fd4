// Activations: a function and its slope at each number.
#include "halftone/ops/activation.h"

#include "gated_rows.h"
#include "halftone/base/threads.h"
#include "math.h"
#include "row_math.h"
#include "tensor/dispatch.h"

namespace halftone {

// dx may be dy, dgate may be dy.
HT_KERNEL(activate_forward, const Tensor& x, Activation f, Tensor& y)
HT_KERNEL(activate_backward, const Tensor& x, Activation f, const Tensor& dy, Tensor& dx)
HT_KERNEL(gated_forward, const Tensor& gate, const Tensor& up, Activation f, Tensor& y)
HT_KERNEL(gated_backward, const Tensor& gate, const Tensor& up, Activation f, const Tensor& dy,
          Tensor& dgate, Tensor& dup)

namespace {

constexpr int64_t kBlock = 1 << 13, kRows = 16;

// tanh(u) of gelu: (1 + tanh(u)) / 2 is sigmoid(2 u).
template <class T>
HT_INLINE inline T gelu_share(T a) {
  return sigmoid(T(1.5957691216057308) * (a + T(0.044715) * a * a * a));
}

// times(d, a) is d f(a), through(d, a) is d f'(a).
struct Silu {
  template <class T>
  HT_INLINE static T times(T d, T a) {
    return d * a * sigmoid(a);
  }
  template <class T>
  HT_INLINE static T through(T d, T a) {
    const T s = sigmoid(a);
    return d * s * (T(1) + a * (T(1) - s));
  }
};

struct Relu {
  template <class T>
  HT_INLINE static T times(T d, T a) {
    return d * (a < T(0) ? T(0) : a);  // NaN stays NaN
  }
  template <class T>
  HT_INLINE static T through(T d, T a) {
    return a > T(0) ? d : T(0);
  }
};

struct GeluTanh {
  template <class T>
  HT_INLINE static T times(T d, T a) {
    return d * a * gelu_share(a);
  }
  template <class T>
  HT_INLINE static T through(T d, T a) {
    const T s = gelu_share(a), slope = T(1.5957691216057308) * (T(1) + T(0.134145) * a * a);
    return d * s * (T(1) + a * (T(1) - s) * slope);
  }
};

// Runs body.template operator()<T, F>() for the numbers' type and the function.
template <class Body>
void with_function(DType dtype, Activation f, const Body& body) {
  with_real(dtype, "activation", [&]<class T>() {
    switch (f) {
      case Activation::silu:
        return body.template operator()<T, Silu>();
      case Activation::relu:
        return body.template operator()<T, Relu>();
      case Activation::gelu_tanh:
        return body.template operator()<T, GeluTanh>();
    }
  });
}

// A row's up and gate, normalised by themselves where eps is not 0.
template <class T>
struct UpAndGate {
  UpAndGate(int64_t c, double eps)
      : c(c), eps(static_cast<T>(eps)), z(eps == 0 ? 0 : static_cast<size_t>(2 * c)) {}

  HT_INLINE void take(const T* row) {
    up = z.empty() ? row : z.data();
    gate = up + c;
    if (z.empty()) return;
    r_up = normalise_row(c, row, eps, z.data());
    r_gate = normalise_row(c, row + c, eps, z.data() + c);
  }
  // Gradients of the row from those of up and gate, in their place.
  HT_INLINE void back(T* d) const {
    if (z.empty()) return;
    normalise_row_backward(c, up, r_up, d, d);
    normalise_row_backward(c, gate, r_gate, d + c, d + c);
  }

  int64_t c;
  T eps, r_up = 0, r_gate = 0;
  std::vector<T> z;
  const T *up = nullptr, *gate = nullptr;
};

}  // namespace

namespace cpu {

void activate_forward(const Tensor& x, Activation f, Tensor& y) {
  with_function(x.dtype(), f, [&]<class T, class F>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(x.numel(), kBlock, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i) out[i] = F::times(T(1), in[i]);
      });
    });
  });
}

void activate_backward(const Tensor& x, Activation f, const Tensor& dy, Tensor& dx) {
  with_function(x.dtype(), f, [&]<class T, class F>() {
    const T *in = x.data<T>(), *d = dy.data<T>();
    T* out = dx.data<T>();
    parallel_for(x.numel(), kBlock, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
#pragma omp simd
        for (int64_t i = begin; i < end; ++i) out[i] = F::through(d[i], in[i]);
      });
    });
  });
}

void gated_forward(const Tensor& gate, const Tensor& up, Activation f, Tensor& y) {
  with_function(gate.dtype(), f, [&]<class T, class F>() {
    const T *gates = gate.data<T>(), *ups = up.data<T>();
    T* out = y.data<T>();
    parallel_for(gate.numel(), kBlock, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i) out[i] = F::times(T(1), gates[i]) * ups[i];
      });
    });
  });
}

void gated_backward(const Tensor& gate, const Tensor& up, Activation f, const Tensor& dy,
                    Tensor& dgate, Tensor& dup) {
  with_function(gate.dtype(), f, [&]<class T, class F>() {
    const T *gates = gate.data<T>(), *ups = up.data<T>(), *d = dy.data<T>();
    T *to_gate = dgate.data<T>(), *to_up = dup.data<T>();
    parallel_for(gate.numel(), kBlock, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
#pragma omp simd
        for (int64_t i = begin; i < end; ++i) {
          const T a = gates[i], di = d[i];
          to_up[i] = F::times(di, a);
          to_gate[i] = F::through(di * ups[i], a);
        }
      });
    });
  });
}

void gated_rows_forward(const Tensor& up_gate, double norm_eps, Activation f, Tensor& y) {
  with_function(y.dtype(), f, [&]<class T, class F>() {
    const int64_t c = y.dim(1);
    const T* in = up_gate.data<T>();
    T* out = y.data<T>();
    parallel_for(y.dim(0), kRows, [&](int64_t begin, int64_t end) {
      UpAndGate<T> row(c, norm_eps);
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i) {
          row.take(in + 2 * i * c);
          for (int64_t j = 0; j < c; ++j) out[i * c + j] = F::times(T(1), row.gate[j]) * row.up[j];
        }
      });
    });
  });
}

void gated_rows_backward(const Tensor& up_gate, double norm_eps, Activation f, const Tensor& dy,
                         Tensor& dx, Tensor& y) {
  with_function(dy.dtype(), f, [&]<class T, class F>() {
    const int64_t c = dy.dim(1);
    const T *in = up_gate.data<T>(), *d = dy.data<T>();
    T *out = dx.data<T>(), *again = y.data<T>();
    parallel_for(dy.dim(0), kRows, [&](int64_t begin, int64_t end) {
      UpAndGate<T> row(c, norm_eps);
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i) {
          row.take(in + 2 * i * c);
          T *to_up = out + 2 * i * c, *to_gate = to_up + c;
          for (int64_t j = 0; j < c; ++j) {
            const T di = d[i * c + j];
            again[i * c + j] = F::times(T(1), row.gate[j]) * row.up[j];
            to_up[j] = F::times(di, row.gate[j]);
            to_gate[j] = F::through(di * row.up[j], row.gate[j]);
          }
          row.back(to_up);
        }
      });
    });
  });
}

}  // namespace cpu

Var activate(const Var& x, Activation f) {
  Tensor y = x.value().like();
  HT_RUN(activate_forward, y.device(), x.value(), f, y);
  return x.tape().record("activate", {x}, y, [x, f](const Tensor& dy) {
    Tensor dx = dy.reused();
    HT_RUN(activate_backward, dy.device(), x.value(), f, dy, dx);
    x.add_grad(dx);
  });
}

Var gated(const Var& gate, const Var& up, Activation f) {
  require(gate.shape() == up.shape() && gate.dtype() == up.dtype(), "gated: gate {}, up {}",
          shape_text(gate.shape()), shape_text(up.shape()));
  Tensor y = gate.value().like();
  HT_RUN(gated_forward, y.device(), gate.value(), up.value(), f, y);
  return gate.tape().record("gated", {gate, up}, y, [gate, up, f](const Tensor& dy) {
    Tensor dgate = dy.reused();
    Tensor dup = dy.like();
    HT_RUN(gated_backward, dy.device(), gate.value(), up.value(), f, dy, dgate, dup);
    if (gate.needs_grad()) gate.add_grad(dgate);
    if (up.needs_grad()) up.add_grad(dup);
  });
}

}  // namespace halftone
