// The product with packed signs, for models that are not trained further.
#pragma once

#include <vector>

#include "halftone/autograd/tape.h"
#include "halftone/tensor/sign_tiles.h"

namespace halftone {

// x (N x I), W (O x I), in_scale (I) or undefined, bias (O) or undefined, all F32 but W:
//   y = (x o in_scale) W^T;  out = y + bias, or LN(y) + bias with `post_layer_norm`
// (ops/onebit_linear.h). Throws std::invalid_argument where x needs a gradient: there is none.
Var packed_linear(const Var& x, const SignTiles& w, const Tensor& in_scale, const Tensor& bias,
                  bool post_layer_norm, double eps);

// What one linear is made of, as above.
struct PackedWeights {
  const SignTiles* tiles = nullptr;
  Tensor in_scale, bias;
  bool post_layer_norm = false;
  double eps = 0;
};

// Several that read one x, see multiply_sign_tiles.
std::vector<Var> packed_linears(const Var& x, const std::vector<PackedWeights>& weights);

}  // namespace halftone
