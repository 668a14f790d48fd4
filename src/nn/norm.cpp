// The kinds of norm.
#include "halftone/nn/norm.h"

#include "halftone/ops/layer_norm.h"
#include "halftone/ops/rms_norm.h"

namespace halftone {

Var Norm::forward(Tape& tape, const Var& x) {
  if (spec.kind == NormSpec::Kind::rms)
    return rms_norm(x, tape.param(gain), spec.eps, spec.gain_offset);
  if (!spec.affine) return layer_norm(x, spec.eps);
  return layer_norm(x, tape.param(gain), tape.param(bias), spec.eps);
}

void Norm::visit(const ParamVisitor& visitor) {
  if (gain.value.defined()) visitor(gain);
  if (bias.value.defined()) visitor(bias);
}

}  // namespace halftone
