// Sign matrices at one bit a weight.
#pragma once

#include "halftone/tensor/tensor.h"

namespace halftone {

// Row by row, eight columns a byte, lowest bit first: column 8j + b is bit b of byte j, bit 1 = -1,
// bit 0 = +1 (also for 0). W (n x m) in F32 -> U8 (n x ceil(m / 8)), unused bits 0.
// The layout of the released OneBit checkpoints.
Tensor pack_signs(const Tensor& w);

// The +-1 matrix, n x columns in F32; throws std::invalid_argument when the width does not fit.
Tensor unpack_signs(const Tensor& packed, int64_t columns);

}  // namespace halftone
