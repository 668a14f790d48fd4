// 1-bit linears whose first scales and signs are refined on calibration data.
#pragma once

#include <vector>

#include "halftone/autograd/tape.h"

namespace halftone {

// A linear as SVID has started it.
struct StartedLinear {
  const Tensor* weight;  // W, n x m
  Param* latent;         // of the signs of W
  Param* out_scale;      // n, or n x groups
};

// Their input scale g.
struct StartedInScale {
  Tensor g;                           // m, or m / repeats
  int64_t repeats = 1, head_dim = 1;  // neighbouring heads of the input that share theirs
  bool fixed = false;                 // it stays as it is
};

// Linears that read one input, of the given Hessian, and share g: their scales and signs as
// quant/calibrated_signs.h refines them, g as large as before. Latent weights keep their
// magnitudes. Returns (tr(D H D^T) / tr(W H W^T))^1/2 of all of them, D = W - W-hat.
double refine_start(const std::vector<StartedLinear>& linears, StartedInScale& in_scale,
                    const Tensor& hessian);

}  // namespace halftone
