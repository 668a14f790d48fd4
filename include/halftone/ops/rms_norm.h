// Root-mean-square normalisation (Zhang and Sennrich, 2019).
#pragma once

#include "halftone/autograd/tape.h"

namespace halftone {

// y_nc = (gain_c + gain_offset) x_nc s_n, s_n = (mean_c x_nc^2 + eps)^(-1/2); x (N x C), gain (C).
// Of an x that is N x kC, a head beside the other, each C numbers are a row of their own.
// With g = gain + gain_offset:
// dgain_c += sum_n dy_nc x_nc s_n
// dx_nc += s_n (g_c dy_nc - x_nc s_n^2 mean_c(g dy x)).  Saves x, s and g.
Var rms_norm(const Var& x, const Var& gain, double eps, double gain_offset = 0);

}  // namespace halftone
