// The gated linear unit of Llama's MLP (Shazeer, 2020).
#pragma once

#include "halftone/autograd/tape.h"

namespace halftone {

// y = silu(gate) o up, silu(a) = a sigmoid(a); same shapes.
// dgate += dy up s (1 + a (1 - s)), dup += dy silu(a), s = sigmoid(a). Saves gate and up.
Var swiglu(const Var& gate, const Var& up);

}  // namespace halftone
