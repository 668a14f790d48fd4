// Keys and values of tokens that were seen, by head, for decoding.
#pragma once

#include "halftone/tensor/tensor.h"

namespace halftone {

// Puts rows (B*T x G*D) of B sequences at tokens position .. position + T - 1 of the store
// (B*G*capacity x D, of the rows' dtype or F16), which holds head by head what attention reads
// along.
void append_key_values(const Tensor& rows, int64_t batch, int64_t position, int64_t capacity,
                       Tensor& store);

}  // namespace halftone
