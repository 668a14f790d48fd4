// Which kernel computes a product of floats, by its shape and this CPU.
#pragma once

#include "halftone/tensor/gemm.h"

namespace halftone {

enum class GemmKernel {
  blas,      // OpenBLAS: factors too thin to pay for packing, odd scalars, CPUs without AVX2
  tiles,     // sgemm.h: packed panels and register tiles
  row_dots,  // row_dots.h: a row or a few by a large matrix, as in decoding one sequence
  small_m,   // small_m.h: a few more, as in decoding several
};

struct GemmShape {
  Transpose ta, tb;
  int64_t m, n, k;
  float alpha, beta;
  bool plain;  // both factors are floats, which OpenBLAS can read
  bool a_floats = true;
};

GemmKernel choose_kernel(const GemmShape& shape);

}  // namespace halftone
