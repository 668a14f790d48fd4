// Rows of a table: chosen by token, and by position.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/autograd/tape.h"

namespace halftone {

// y (N x C): y_n = W[ids_n], W (V x C); ids in [0, V) or std::invalid_argument.
// dW[ids_n] += dy_n, in the order of n. A table in F16 without gradient gives F32 rows.
Var embedding(const std::vector<int32_t>& ids, const Var& weight);

// y (B*T x C) for sequences of T = `length` rows: y_n = x_n + W[first_row + n mod T], W (P x C),
// its rows in range or std::invalid_argument. dx += dy, dW[first_row + n mod T] += dy_n, in the
// order of n. A table in F16 without gradient is widened.
Var add_positions(const Var& x, const Var& weight, int64_t length, int64_t first_row);

}  // namespace halftone
