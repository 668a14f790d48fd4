// What stands between the linears of an MLP.
#pragma once

#include "halftone/autograd/tape.h"

namespace halftone {

enum class Activation {
  silu,       // a sigmoid(a)
  relu,       // max(a, 0), its slope at 0 being 0
  gelu_tanh,  // a (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3))) / 2 (Hendrycks and Gimpel, 2016)
};

// y = f(x), same shape. dx += dy f'(x). Saves x.
Var activate(const Var& x, Activation f);

// The gated linear unit (Shazeer, 2020): y = f(gate) o up; same shapes.
// dgate += dy up f'(gate), dup += dy f(gate). Saves gate and up.
Var gated(const Var& gate, const Var& up, Activation f);

}  // namespace halftone
