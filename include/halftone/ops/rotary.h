// Rotary position embedding (Su et al., 2021), Hugging Face's half-split order.
#pragma once

#include <vector>

#include "halftone/autograd/tape.h"

namespace halftone {

// cos and sin of position x frequency: rows are positions 0 .. max-1, columns D/2 frequencies.
struct RotaryTable {
  Tensor cos, sin;  // (positions x D/2)
};

// inverse_frequencies (D/2): theta^(-2i/D), scaled where the model says so. Computed in double.
RotaryTable make_rotary_table(int64_t positions, const std::vector<double>& inverse_frequencies,
                              DType dtype);

// y for x (B*T x heads*D): in each head, with a = x[0 : D/2], b = x[D/2 : D] at position p:
//   y = [a cos - b sin, b cos + a sin].  Row n is at position first_position + n mod T.
// dx += the rotation by the opposite angle. Saves nothing.
Var rotary(const Var& x, const RotaryTable& table, int64_t heads, int64_t sequence_length,
           int64_t first_position = 0);

}  // namespace halftone
