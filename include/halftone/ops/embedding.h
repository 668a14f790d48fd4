// Rows of a table, chosen by token.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/autograd/tape.h"

namespace halftone {

// y (N x C): y_n = W[ids_n], W (V x C); ids in [0, V) or std::invalid_argument.
// dW[ids_n] += dy_n, in the order of n. A table in F16 without gradient gives F32 rows.
Var embedding(const std::vector<int32_t>& ids, const Var& weight);

}  // namespace halftone
