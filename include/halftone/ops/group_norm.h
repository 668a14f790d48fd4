// Layer normalisation of groups of columns by themselves (Wu and He, 2018, over channels alone).
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/autograd/tape.h"

namespace halftone {

// x (N x C), groups of `widths` columns side by side, C in all; plus (N x C) or undefined:
//   y = [z_1 ... z_K] + plus,  z_k = (x_k - mean_k) r_k,  r_k = (var_k + eps)^(-1/2), biased
//   variance,
// over the columns of group k in a row. dx_k += r_k (dz_k - mean(dz_k) - z_k mean(dz_k o z_k)).
// Saves x.
Var group_norm(const Var& x, const std::vector<int64_t>& widths, double eps, const Var& plus = {});

// The same with plus; backwards that read y do not keep it, but have it made again.
Var group_norm_again(const Var& x, const std::vector<int64_t>& widths, double eps, const Var& plus);

}  // namespace halftone
