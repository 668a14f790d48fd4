// Products with matrices above one another, of which parameters are told their rows' gradients.
#include "halftone/ops/joined_linear.h"

#include <algorithm>

#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

int64_t rows_of(const MadeMatrices& matrices) {
  int64_t rows = 0;
  for (const auto& m : matrices) rows += m->shape()[0];
  return rows;
}

Tensor made(const MadeMatrices& matrices, DType dtype, Device device) {
  if (matrices.size() == 1)
    if (const Tensor whole = matrices[0]->as_is(); whole.defined() && whole.dtype() == dtype)
      return whole;
  Tensor out = Tensor::uninitialized({rows_of(matrices), matrices[0]->shape()[1]}, dtype, device);
  int64_t row = 0;
  for (const auto& m : matrices) {
    Tensor rows = out.rows(row, row + m->shape()[0]);
    m->make(rows);
    row += m->shape()[0];
  }
  return out;
}

bool needs_grad(const MadeMatrix& m) {
  return std::ranges::any_of(m.parameters(), [](const Var& p) { return p.needs_grad(); });
}

}  // namespace

Var joined_linear(const Var& x, const MadeMatrices& matrices, const Var& plus) {
  require(!matrices.empty(), "joined_linear: no matrix");
  for (const auto& m : matrices)
    require(x.value().rank() == 2 && m->shape().size() == 2 && x.dim(1) == m->shape()[1],
            "joined_linear: x {}, matrix {}", shape_text(x.shape()), shape_text(m->shape()));
  const Device device = x.device();
  Tensor y = Tensor::uninitialized({x.dim(0), rows_of(matrices)}, x.dtype(), device);
  const Tensor m = made(matrices, x.dtype(), device);
  if (plus.defined())
    gemm_add(Transpose::no, Transpose::yes, x.value(), m, plus.value(), y);
  else
    gemm(Transpose::no, Transpose::yes, x.value(), m, 0, y);
  std::vector<Var> inputs{x, plus};
  for (const auto& matrix : matrices)
    inputs.insert(inputs.end(), matrix->parameters().begin(), matrix->parameters().end());
  return x.tape().record(
      matrices[0]->op(), inputs, y,
      [x = x.without_value(), x_later = x.later(), plus = plus.without_value(), matrices,
       device](const Tensor& dy) {
        if (plus.needs_grad()) plus.add_grad(dy);
        if (x.needs_grad()) {
          auto [dx, beta] = x.grad_target();
          gemm(Transpose::no, Transpose::no, dy, made(matrices, dy.dtype(), device), beta, dx);
        }
        if (std::ranges::none_of(matrices, [](const auto& each) { return needs_grad(*each); }))
          return;
        Tensor d = Tensor::uninitialized({dy.dim(1), x.dim(1)}, sum_dtype(dy.dtype()), device);
        gemm(Transpose::yes, Transpose::no, dy, x_later(), 0, d);
        int64_t row = 0;
        for (const auto& each : matrices) {
          const int64_t end = row + each->shape()[0];
          if (needs_grad(*each)) each->add_gradients(d.rows(row, end));
          row = end;
        }
      });
}

}  // namespace halftone
