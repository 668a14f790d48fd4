#include "halftone/autograd/grad_check.h"

#include <algorithm>
#include <cmath>

namespace halftone {
namespace {

double value_of(const LossFunction& loss, const std::vector<Tensor>& inputs) {
  Tape tape(Tape::Mode::no_grad);
  std::vector<Var> vars;
  for (const Tensor& input : inputs) vars.push_back(tape.constant(input));
  return loss(tape, vars).value().item();
}

std::vector<Tensor> analytic_gradients(const LossFunction& loss,
                                       const std::vector<Tensor>& inputs) {
  Tape tape;
  std::vector<Var> vars;
  for (const Tensor& input : inputs) vars.push_back(tape.variable(input.clone()));
  tape.backward(loss(tape, vars));
  std::vector<Tensor> grads;
  for (size_t i = 0; i < inputs.size(); ++i)
    grads.push_back(vars[i].grad().filled ? vars[i].grad().tensor
                                          : Tensor::zeros(inputs[i].shape(), DType::f64));
  return grads;
}

}  // namespace

GradCheckResult grad_check(const LossFunction& loss, const std::vector<Tensor>& inputs,
                           const GradCheckSettings& settings, const LossFunction& surrogate) {
  const LossFunction& differenced = surrogate ? surrogate : loss;
  const std::vector<Tensor> grads = analytic_gradients(loss, inputs);
  GradCheckResult result;
  for (size_t k = 0; k < inputs.size(); ++k) {
    std::vector<Tensor> moved;
    for (const Tensor& input : inputs) moved.push_back(input.clone());
    double* x = moved[k].data<double>();
    const double* dx = grads[k].data<double>();
    const int64_t n = inputs[k].numel();
    const int64_t stride = std::max<int64_t>(1, n / settings.max_entries);
    std::vector<int64_t> entries;
    std::vector<double> numeric;
    for (int64_t i = 0; i < n; i += stride) {
      const double at = x[i], h = settings.step * std::max(1.0, std::abs(at));
      x[i] = at + h;
      const double above = value_of(differenced, moved);
      x[i] = at - h;
      const double below = value_of(differenced, moved);
      x[i] = at;
      entries.push_back(i);
      numeric.push_back((above - below) / (2 * h));
    }
    double largest = 0;
    for (double v : numeric) largest = std::max(largest, std::abs(v));
    for (size_t e = 0; e < entries.size(); ++e) {
      const double a = dx[entries[e]], b = numeric[e];
      const double error = std::abs(a - b) / std::max({1e-3, std::abs(b), largest / 100});
      if (!(error <= result.worst)) {
        result.worst = error;
        result.where = fmt::format("input {} entry {}: analytic {:.12g}, numeric {:.12g}", k,
                                   entries[e], a, b);
      }
    }
  }
  return result;
}

}  // namespace halftone
