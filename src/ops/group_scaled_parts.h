// The matrices M = c S of group-scaled linears that read one input, one above the other.
#pragma once

#include <vector>

#include "halftone/ops/group_scaled_linear.h"
#include "tensor/dispatch.h"

namespace halftone {

struct GroupScaledPart {
  Tensor latent, scale;
  Ste ste = Ste::tanh;
};
struct GroupScaledGradients {
  Tensor dw, dscale;
  double beta = 0;  // dw = beta dw + ...
};

HT_KERNEL(group_scaled_weights, const std::vector<GroupScaledPart>& parts, Tensor& w)
// From the rows of D = dy^T x that are each part's; those of one part may be its dw.
HT_KERNEL(group_scaled_unfold, const Tensor& d, const std::vector<GroupScaledPart>& parts,
          std::vector<GroupScaledGradients>& to)

}  // namespace halftone
