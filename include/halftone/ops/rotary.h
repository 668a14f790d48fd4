// Rotary position embedding (Su et al., 2021), Hugging Face's half-split order.
#pragma once

#include <vector>

#include "halftone/autograd/tape.h"

namespace halftone {

// cos and sin of position x frequency: rows are positions 0 .. max-1, columns D/2 frequencies.
struct RotaryTable {
  Tensor cos, sin;  // (positions x D/2)
};

// How a model turns its heads at one context.
struct RotaryFrequencies {
  std::vector<double> inverse;  // (D/2), radians a position: theta^(-2i/D), or what is made of it
  double factor = 1;            // on cos and sin
};

// factor cos(p f) and factor sin(p f) for positions p and inverse frequencies f, computed in
// double.
RotaryTable make_rotary_table(int64_t positions, const RotaryFrequencies& frequencies, DType dtype);

// y for x (B*T x C), C >= heads*D: in each head, with a = x[0 : D/2], b = x[D/2 : D] at position p:
//   y = [a cos - b sin, b cos + a sin].  Row n is at position first_position + n mod T.
// with cos and sin as the table has them; columns behind the heads are left as they are. dx += the
// same with -sin. Saves nothing, and works in place where nothing else has x's numbers.
Var rotary(Var x, const RotaryTable& table, int64_t heads, int64_t sequence_length,
           int64_t first_position = 0);

}  // namespace halftone
