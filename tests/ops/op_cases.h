// Ops with inputs, one list for every device and dtype: what a GPU computes is held against the CPU
// by the same cases that hold the CPU against differences.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "halftone/autograd/tape.h"

namespace halftone {

struct OpCase {
  std::string name;
  // F64. The first `activations` are hidden states, which a device may keep in BF16; the others are
  // parameters.
  std::vector<Tensor> inputs;
  size_t activations;
  // The output, of any shape. Constants are brought to an input's dtype and device by beside().
  std::function<Var(Tape&, const std::vector<Var>&)> op;
  bool smooth = true;  // its gradient is that of its value, not of a surrogate
};

std::vector<OpCase> op_cases();

// A constant in x's dtype, where x lies.
Tensor beside(const Var& x, const Tensor& constant);

}  // namespace halftone
