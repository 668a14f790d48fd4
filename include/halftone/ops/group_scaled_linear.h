// Signs with one scale a row and group of neighbouring inputs: the OneBit layer without its input
// scale, a matrix whose blocks are of one magnitude each.
#pragma once

#include "halftone/autograd/tape.h"
#include "halftone/ops/onebit_linear.h"

namespace halftone {

// x (N x I), latent W (O x I), scale c (O x groups), groups dividing I, bias (O) or undefined:
//   y_o = sum_k c_ok sum_{i in group k} s_oi x_i + bias_o, S = sign(W), sign(0) = +1.
// With one group the product goes by tables of partial sums (tensor/gemm/sign_gemm.h), with several
// it multiplies by M = c S, made anew for each product. Backward for G = dy, D = G^T x:
//   dbias = sum_n G;  dx = G M;  dW_oi = c_ok D_oi ste(W_oi);  dc_ok = sum_{i in group k} s_oi
//   D_oi.
// Saves x and W.
Var group_scaled_linear(const Var& x, const Var& latent, const Var& scale, const Var& bias,
                        Ste ste);

// M = c S, O x I: what the layer multiplies by.
Tensor group_scaled_weight(const Tensor& latent, const Tensor& scale);
// The same for a product with other matrices, with the gradients above.
std::shared_ptr<const MadeMatrix> group_scaled_matrix(const Var& latent, const Var& scale, Ste ste);

}  // namespace halftone
