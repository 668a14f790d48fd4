// A dense linear and its gradients: products, and sums over rows.
#include "halftone/ops/linear.h"

#include <algorithm>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/arithmetic.h"
#include "halftone/tensor/gemm.h"
#include "tensor/dispatch.h"

namespace halftone {

HT_KERNEL(add_bias, const Tensor& bias, Tensor& y)
HT_KERNEL(add_column_sums, const Tensor& dy, Tensor& db, double beta)

namespace {

class DenseMatrix : public MadeMatrix {
 public:
  explicit DenseMatrix(const Var& weight) : MadeMatrix({weight}) {}

  const char* op() const override { return "linear"; }
  const Shape& shape() const override { return weight().shape(); }
  Tensor as_is() const override { return weight().value(); }
  void make(const MadeMatrices& all, Tensor& m) const override {
    int64_t row = 0;
    for (const auto& each : all) {
      Tensor rows = m.rows(row, row + each->shape()[0]);
      rows.copy_from(each->as_is().to(m.dtype()));
      row += rows.dim(0);
    }
  }
  void add_gradients(const MadeMatrices& all, const Tensor& d) const override {
    int64_t row = 0;
    for (const auto& each : all) {
      const Tensor rows = d.rows(row, row + each->shape()[0]);
      auto [dw, beta] = each->parameters()[0].target_or_spare();
      if (beta == 0)
        dw.copy_from(rows);
      else
        add(dw, rows, dw);
      row += rows.dim(0);
    }
  }

 private:
  const Var& weight() const { return parameters()[0]; }
};

}  // namespace

void cpu::add_bias(const Tensor& bias, Tensor& y) {
  with_real(y.dtype(), "add_bias", [&]<class T>() {
    const int64_t n = y.dim(0), o = y.dim(1);
    const T* b = bias.data<T>();
    T* out = y.data<T>();
    parallel_for(n, 16, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i)
          for (int64_t j = 0; j < o; ++j) out[i * o + j] += b[j];
      });
    });
  });
}

void cpu::add_column_sums(const Tensor& dy, Tensor& db, double beta) {
  with_real(dy.dtype(), "add_column_sums", [&]<class T>() {
    const int64_t n = dy.dim(0), c = dy.dim(1);
    const T* in = dy.data<T>();
    T* out = db.data<T>();
    parallel_for(c, 256, [&](int64_t begin, int64_t end) {
      if (beta == 0) std::fill(out + begin, out + end, T(0));
      simd([&]() HT_INLINE {
        for (int64_t i = 0; i < n; ++i)
          for (int64_t j = begin; j < end; ++j) out[j] += in[i * c + j];
      });
    });
  });
}

void add_bias(const Tensor& bias, Tensor& y) {
  require(y.rank() == 2 && bias.numel() == y.dim(1), "add_bias: {} to {}", shape_text(bias.shape()),
          shape_text(y.shape()));
  HT_RUN(add_bias, y.device(), bias, y);
}

void add_column_sums(const Tensor& dy, Tensor& db, double beta) {
  require(dy.rank() == 2 && db.numel() == dy.dim(1), "add_column_sums: {} into {}",
          shape_text(dy.shape()), shape_text(db.shape()));
  HT_RUN(add_column_sums, dy.device(), dy, db, beta);
}

std::shared_ptr<const MadeMatrix> dense_matrix(const Var& weight) {
  return std::make_shared<DenseMatrix>(weight);
}

Var linear(const Var& x, const Var& weight, const Var& bias) {
  require(x.value().rank() == 2 && weight.value().rank() == 2 && x.dim(1) == weight.dim(1),
          "linear: x {}, weight {}", shape_text(x.shape()), shape_text(weight.shape()));
  require(weight.dtype() == x.dtype() || weight.dtype() == sum_dtype(x.dtype()) ||
              (weight.dtype() == DType::f16 && !weight.needs_grad()),
          "linear: x {}, weight {}", dtype_name(x.dtype()), dtype_name(weight.dtype()));
  Tensor y = Tensor::uninitialized({x.dim(0), weight.dim(0)}, x.dtype(), x.value().device());
  gemm(Transpose::no, Transpose::yes, x.value(), weight.value(), 0, y);
  if (bias.defined()) {
    require(bias.shape() == Shape{weight.dim(0)}, "linear: bias {}, weight {}",
            shape_text(bias.shape()), shape_text(weight.shape()));
    add_bias(bias.value(), y);
  }
  return x.tape().record("linear", {x, weight, bias}, y, [x, weight, bias](const Tensor& dy) {
    if (x.needs_grad()) {
      auto [dx, beta] = x.grad_target();
      gemm(Transpose::no, Transpose::no, dy, weight.value().to(dy.dtype()), beta, dx);
    }
    if (weight.needs_grad()) {
      auto [dw, beta] = weight.grad_target();
      gemm(Transpose::yes, Transpose::no, dy, x.value(), beta, dw);
    }
    if (bias.needs_grad()) {
      auto [db, beta] = bias.grad_target();
      add_column_sums(dy, db, beta);
    }
  });
}

}  // namespace halftone
