// One table: method -> function.
#pragma once

#include "halftone/quant/low_bit_matrix.h"
#include "halftone/quant/settings.h"

namespace halftone {

// W (n x m, F32); H (m x m, F64) for the methods that need one (others ignore it).
LowBitMatrix quantise(PtqMethod method, const Tensor& w, const Tensor& hessian,
                      const PtqSettings& settings);

// tr(D H D^T) / tr(W H W^T), D = W - W-hat: the squared error of the linear's outputs. 0 where the
// outputs are 0 whatever the weights; of outputs that are not finite NaN.
double relative_error(const Tensor& w, const Tensor& w_hat, const Tensor& hessian);

}  // namespace halftone
