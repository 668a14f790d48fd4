// Scales of signs with less freedom than SVID's: an input scale that several matrices or heads
// share, output scales of groups of inputs (methods 7.9).
#pragma once

#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

// The rows of all matrices, one matrix below the other; of one width, F32. The SVID of the stack
// has the g that serves them all best.
Tensor stacked_rows(const std::vector<Tensor>& matrices);

// |W| summed over each `repeats` neighbouring heads of D columns: n x (heads D) to
// n x (heads / repeats D). The best rank 1 h g^T of W with one g for these heads is, but for h's
// size, that of the sum.
Tensor summed_heads(const Tensor& w, int64_t repeats, int64_t head_dim);
// Back: each head of v (heads / repeats D) stands `repeats` times in the result (heads D).
Tensor repeated_heads(const Tensor& v, int64_t repeats, int64_t head_dim);

struct GroupScales {
  Tensor scales;          // c, n x groups
  double relative_error;  // ||W - c sign(W) g||_F / ||W||_F
};
// The least squares c of |w_ij| ~ c_ik g_j over the `width` columns of each group k of row i:
// sum |w| g / sum g^2, with g = 1 the mean |w|. W (n x m), g (m) in F32; `width` divides m.
GroupScales group_scales(const Tensor& w, const Tensor& g, int64_t width);

}  // namespace halftone
