// The products with packed signs and with codes, for models that are not trained further.
#pragma once

#include <vector>

#include "halftone/autograd/tape.h"
#include "halftone/ops/onebit_linear.h"
#include "halftone/tensor/coded_matrix.h"
#include "halftone/tensor/sign_tiles.h"

namespace halftone {

// W (O x I), in_scale (I) or undefined: ones, bias (O) or undefined, all F32 but W.
struct PackedWeights {
  SignTiles tiles;
  Tensor in_scale, bias;
  bool post_layer_norm = false;
  double eps = OneBitOptions{}.eps;  // of the layer normalisation
  SignInputs inputs = SignInputs::f32;
};

// x (N x I) in F32:
//   y = (x o in_scale) W^T;  out = y + bias, or LN(y) + bias with `post_layer_norm`
// (ops/onebit_linear.h). Throws std::invalid_argument where x needs a gradient: there is none.
Var packed_linear(const Var& x, const PackedWeights& weights);

// Several that read one x, in the way of the first, see multiply_sign_tiles.
std::vector<Var> packed_linears(const Var& x, const std::vector<const PackedWeights*>& weights);

// x W^T + bias (undefined: none), likewise.
Var coded_linear(const Var& x, const CodedMatrix& w, const Tensor& bias);

}  // namespace halftone
