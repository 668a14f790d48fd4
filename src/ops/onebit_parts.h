// The matrices M = h S g of OneBit layers that read one input, one above the other.
#pragma once

#include <vector>

#include "halftone/ops/onebit_linear.h"
#include "tensor/dispatch.h"

namespace halftone {

struct OneBitPart {
  Tensor latent, in_scale, out_scale;
  Ste ste = Ste::tanh;
};
struct OneBitGradients {
  Tensor dw, dh, dg;
  double beta = 0;  // dw = beta dw + ...
};

HT_KERNEL(onebit_weights, const std::vector<OneBitPart>& parts, Tensor& w)
// From the rows of D = dy^T x that are each part's; those of one part may be its dw.
HT_KERNEL(onebit_unfold, const Tensor& d, const std::vector<OneBitPart>& parts,
          std::vector<OneBitGradients>& to)

}  // namespace halftone
