// GPTQ (arXiv 2210.17323; methods 2): column by column, each rounding error fed to the later
// columns by second-order information.
#pragma once

#include "halftone/quant/low_bit_matrix.h"
#include "halftone/quant/settings.h"

namespace halftone {

// W (n x m, F32), H (m x m, F64). Departures: a group's grid is read from the weights as they are
// when its first column comes up, in-block updates included, where the group lies within the block
// (the released code reads the lazily updated matrix); scales are rounded before use (grid.h).
// Cost: n m^2 FLOP, most of it in one GEMM a block; memory: W twice in F64.
LowBitMatrix gptq(const Tensor& w, const Tensor& hessian, const PtqSettings& settings);

}  // namespace halftone
