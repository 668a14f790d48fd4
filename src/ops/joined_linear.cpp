// Products with matrices above one another, of which parameters are told their rows' gradients.
#include "halftone/ops/joined_linear.h"

#include <algorithm>

#include "gated_rows.h"
#include "halftone/ops/group_norm.h"
#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

int64_t rows_of(const MadeMatrices& matrices) {
  int64_t rows = 0;
  for (const auto& m : matrices) rows += m->shape()[0];
  return rows;
}

Tensor made(const MadeMatrices& matrices, DType dtype, Device device) {
  Tensor whole = matrices[0]->as_is();
  for (size_t i = 1; i < matrices.size() && whole.defined(); ++i)
    whole = whole.with_next_rows(matrices[i]->as_is());
  if (whole.defined() && whole.dtype() == dtype) return whole;
  Tensor out = Tensor::uninitialized({rows_of(matrices), matrices[0]->shape()[1]}, dtype, device);
  matrices[0]->make(matrices, out);
  return out;
}

bool need_grad(const MadeMatrices& matrices) {
  const auto needs_grad = [](const auto& m) {
    return std::ranges::any_of(m->parameters(), [](const Var& p) { return p.needs_grad(); });
  };
  return std::ranges::any_of(matrices, needs_grad);
}

void check(int64_t width, const Var& x, const MadeMatrices& matrices) {
  require(!matrices.empty(), "joined_linear: no matrix");
  for (const auto& m : matrices)
    require(m->op() == matrices[0]->op() && m->norm_eps() == matrices[0]->norm_eps(),
            "joined_linear: {}, eps {} beside {}, eps {}", m->op(), m->norm_eps(),
            matrices[0]->op(), matrices[0]->norm_eps());
  for (const auto& m : matrices)
    require(x.value().rank() == 2 && m->shape().size() == 2 && width == m->shape()[1],
            "joined_linear: x {}, matrix {}", shape_text(x.shape()), shape_text(m->shape()));
}

Tensor multiply(const Tensor& x, const MadeMatrices& matrices, const Var& plus) {
  Tensor y = Tensor::uninitialized({x.dim(0), rows_of(matrices)}, x.dtype(), x.device());
  const Tensor m = made(matrices, x.dtype(), x.device());
  if (plus.defined())
    gemm_add(Transpose::no, Transpose::yes, x, m, plus.value(), y);
  else
    gemm(Transpose::no, Transpose::yes, x, m, 0, y);
  return y;
}

// dx = beta dx + dy M.
void multiply_back(const Tensor& dy, const MadeMatrices& matrices, double beta, Tensor& dx) {
  gemm(Transpose::no, Transpose::no, dy, made(matrices, dy.dtype(), dy.device()), beta, dx);
}

void add_gradients(const Tensor& dy, const Tensor& x, const MadeMatrices& matrices) {
  Tensor d = Tensor::uninitialized({dy.dim(1), x.dim(1)}, sum_dtype(dy.dtype()), dy.device());
  gemm(Transpose::yes, Transpose::no, dy, x, 0, d);
  matrices[0]->add_gradients(matrices, d);
}

std::vector<Var> all_inputs(const Var& x, const MadeMatrices& matrices, const Var& plus) {
  std::vector<Var> out{x, plus};
  for (const auto& m : matrices)
    out.insert(out.end(), m->parameters().begin(), m->parameters().end());
  return out;
}

bool normed(const MadeMatrices& matrices) {
  return matrices[0]->norm_eps() != 0;
}

std::vector<int64_t> widths(const MadeMatrices& matrices) {
  std::vector<int64_t> out;
  for (const auto& m : matrices) out.push_back(m->shape()[0]);
  return out;
}

// joined_linear without normalisations.
Var product(const Var& x, const MadeMatrices& matrices, const Var& plus) {
  return x.tape().record(matrices[0]->op(), all_inputs(x, matrices, plus),
                         multiply(x.value(), matrices, plus),
                         [x = x.without_value(), x_later = x.later(), plus = plus.without_value(),
                          matrices](const Tensor& dy) {
                           if (plus.needs_grad()) plus.add_grad(dy);
                           if (x.needs_grad()) {
                             auto [dx, beta] = x.grad_target();
                             multiply_back(dy, matrices, beta, dx);
                           }
                           if (need_grad(matrices)) add_gradients(dy, x_later(), matrices);
                         });
}

// The same behind a gated unit.
Var gated_product(const Var& up_gate, double norm_eps, Activation f, const MadeMatrices& matrices,
                  const Var& plus) {
  const Tensor& x = up_gate.value();
  const Shape half{x.dim(0), x.dim(1) / 2};
  Tensor gated = Tensor::uninitialized(half, x.dtype(), x.device());
  HT_RUN(gated_rows_forward, x.device(), x, norm_eps, f, gated);
  return up_gate.tape().record(
      matrices[0]->op(), all_inputs(up_gate, matrices, plus), multiply(gated, matrices, plus),
      [up_gate, half, norm_eps, f, plus = plus.without_value(), matrices](const Tensor& dy) {
        if (plus.needs_grad()) plus.add_grad(dy);
        Tensor dgated = Tensor::uninitialized(half, dy.dtype(), dy.device()), again = dgated.like(),
               dx = up_gate.value().like();
        multiply_back(dy, matrices, 0, dgated);
        HT_RUN(gated_rows_backward, dy.device(), up_gate.value(), norm_eps, f, dgated, dx, again);
        if (up_gate.needs_grad()) up_gate.add_grad(dx);
        if (need_grad(matrices)) add_gradients(dy, again, matrices);
      });
}

}  // namespace

Var joined_product(const Var& x, const MadeMatrices& matrices) {
  check(x.dim(1), x, matrices);
  return product(x, matrices, {});
}

Var joined_linear(const Var& x, const MadeMatrices& matrices, const Var& plus) {
  check(x.dim(1), x, matrices);
  if (!normed(matrices)) return product(x, matrices, plus);
  return group_norm(product(x, matrices, {}), widths(matrices), matrices[0]->norm_eps(), plus);
}

Var joined_linear_again(const Var& x, const MadeMatrices& matrices, const Var& plus) {
  check(x.dim(1), x, matrices);
  if (normed(matrices))
    return group_norm_again(product(x, matrices, {}), widths(matrices), matrices[0]->norm_eps(),
                            plus);
  const Var y = product(x, matrices, plus);
  if (!y.needs_grad()) return y;
  return y.made_by(
      [x_later = x.later(), plus, matrices] { return multiply(x_later(), matrices, plus); });
}

Var gated_joined_linear(const Var& up_gate, double norm_eps, Activation f,
                        const MadeMatrices& matrices, const Var& plus) {
  check(up_gate.dim(1) / 2, up_gate, matrices);
  if (!normed(matrices)) return gated_product(up_gate, norm_eps, f, matrices, plus);
  return group_norm(gated_product(up_gate, norm_eps, f, matrices, {}), widths(matrices),
                    matrices[0]->norm_eps(), plus);
}

}  // namespace halftone
