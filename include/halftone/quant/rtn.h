// Round to nearest (methods 1): the data-free baseline.
#pragma once

#include "halftone/quant/low_bit_matrix.h"
#include "halftone/quant/settings.h"

namespace halftone {

// W (n x m, F32), one grid a row and group of group_size columns. The last group may be short.
// bits a weight: q + (16 + q) / g, symmetric q + 16 / g.
LowBitMatrix rtn(const Tensor& w, const PtqSettings& settings);

}  // namespace halftone
