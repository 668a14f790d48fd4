// The product with a matrix of signs, by tables of partial sums. Four inputs have 16 sums
// +-a +-b +-c +-d; made once for a block of tokens, a table's entry does the work of four
// multiply-adds in one addition. (Arlazarov et al., 1970, "the four Russians"; for low-bit language
// models with integers: Wei et al., 2024, T-MAC.)
#pragma once

#include "halftone/base/threads.h"
#include "halftone/tensor/sign_tiles.h"
#include "sgemm.h"

namespace halftone {

// What makes rows [begin, end) of x just before they are read, and what is done with rows of y as
// soon as they are whole: on the thread that multiplies them, while they are in its caches.
struct RowSteps {
  static constexpr auto kNone = [](int64_t, int64_t) {};
  RangeFunction before = kNone, after = kNone;
};

// y = y_scale o (sign(W) (x_scale o x)) + beta y for every row of x, sign(0) = +1; all F32.
//   tw = yes:  y = x W^T:  x (N x I), W (O x I), x_scale (I), y_scale (O), y (N x O)
//   tw = no:   y = x W:    x (N x O), W (O x I), x_scale (O), y_scale (I), y (N x I)
// beta 0 or 1. Every element is summed in the same order on any number of threads. Throws
// std::invalid_argument when the shapes do not fit.
// Work: N O I / 4 additions, 16 more a token and group of four inputs.
void sign_gemm(Transpose tw, const Tensor& x, const Tensor& w, const Tensor& x_scale,
               const Tensor& y_scale, double beta, Tensor& y, const RowSteps& steps = {});
// y = x' W^T, x' = x o x_scale (undefined: x), where the signs are packed.
void sign_gemm(const Tensor& x, const Tensor& x_scale, const SignTiles& w, Tensor& y);

}  // namespace halftone
