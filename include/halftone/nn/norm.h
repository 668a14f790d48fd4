// A norm with its parameters.
#pragma once

#include "halftone/autograd/tape.h"
#include "halftone/nn/block_spec.h"
#include "halftone/nn/linear.h"

namespace halftone {

struct Norm {
  NormSpec spec;
  Param gain, bias;  // <name>.weight, <name>.bias; undefined value: none

  Var forward(Tape& tape, const Var& x);
  void visit(const ParamVisitor& visitor);
};

}  // namespace halftone
