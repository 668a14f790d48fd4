#include "halftone/nn/linear.h"

#include "halftone/ops/linear.h"

namespace halftone {
namespace {

Var param_or_none(Tape& tape, Param& param) {
  return param.value.defined() ? tape.param(param) : Var();
}

}  // namespace

Linear::Linear(std::string name, Tensor weight_value, Tensor bias_value)
    : weight{.name = name + ".weight", .value = std::move(weight_value), .grad = {}},
      bias{.name = name + ".bias", .value = std::move(bias_value), .grad = {}, .decay = false} {}

Var Linear::forward(Tape& tape, const Var& x) {
  return linear(x, tape.param(weight), param_or_none(tape, bias));
}

void Linear::visit(const ParamVisitor& visitor) {
  visitor(weight);
  if (bias.value.defined()) visitor(bias);
}

OneBitLinear::OneBitLinear(std::string name, Tensor latent_value, Tensor in_scale_value,
                           Tensor out_scale_value, Tensor bias_value, const OneBitOptions& options)
    : latent{.name = name + ".weight", .value = std::move(latent_value), .grad = {}},
      in_scale{.name = name + ".in_scale", .value = std::move(in_scale_value), .grad = {}},
      out_scale{.name = name + ".out_scale", .value = std::move(out_scale_value), .grad = {}},
      bias{.name = name + ".bias", .value = std::move(bias_value), .grad = {}, .decay = false},
      options(options) {}

Var OneBitLinear::forward(Tape& tape, const Var& x) {
  return onebit_linear(x, tape.param(latent), tape.param(in_scale), tape.param(out_scale),
                       param_or_none(tape, bias), options);
}

void OneBitLinear::visit(const ParamVisitor& visitor) {
  visitor(latent);
  visitor(in_scale);
  visitor(out_scale);
  if (bias.value.defined()) visitor(bias);
}

LowBitLinear::LowBitLinear(std::string module, LowBitMatrix matrix, Tensor bias_value)
    : name(std::move(module)),
      code(std::move(matrix)),
      weight{.name = name + ".weight", .value = reconstruct(code), .grad = {}},
      bias{.name = name + ".bias", .value = std::move(bias_value), .grad = {}, .decay = false} {}

Var LowBitLinear::forward(Tape& tape, const Var& x) {
  return linear(x, tape.constant(weight.value),
                bias.value.defined() ? tape.constant(bias.value) : Var());
}

void LowBitLinear::visit(const ParamVisitor& visitor) {
  visitor(weight);
  if (bias.value.defined()) visitor(bias);
}

}  // namespace halftone
