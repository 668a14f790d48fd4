// The OneBit layer (Xu et al., 2024, arXiv 2402.11295, equations 2 and 5): a sign matrix between
// two value vectors, and a layer normalisation behind it.
#pragma once

#include "halftone/autograd/tape.h"
#include "halftone/ops/joined_linear.h"

namespace halftone {

// The straight-through factor ste(W) that stands for d sign(W) / dW.
enum class Ste {
  tanh,      // 1.001 - tanh(W)^2, the released code; never 0
  identity,  // 1
  clipped,   // 1 where |W| <= 1, else 0
};

struct OneBitOptions {
  bool post_layer_norm = true;  // false: z = y, weights can be folded
  Ste ste = Ste::tanh;
  double eps = 1e-5;  // of the layer normalisation
};

// x (N x I), latent W (O x I), g = in_scale (I), h = out_scale (O), bias (O) or undefined:
//   y = ((x o g) S^T) o h, S = sign(W), sign(0) = +1;  z = LN(y);  out = z + bias.
// The product with S goes by tables of partial sums (tensor/gemm/sign_gemm.h), which scales x where
// it reads and y where it writes; rows are normalised as soon as they are whole. F64 multiplies by
// M = h S g (m_oi = h_o s_oi g_i). Backward for G = dout, r = 1/sqrt(var + eps), D = dy^T x:
//   dbias = sum_n G;  dy = r (G - mean(G) - z mean(G o z));  dx = dy M;
//   dW = (h D g) o ste(W);  dh_o = sum_i s_oi g_i D_oi;  dg_i = sum_o s_oi h_o D_oi.
// Saves x and W, with the normalisation also z and one number a row.
Var onebit_linear(const Var& x, const Var& latent, const Var& in_scale, const Var& out_scale,
                  const Var& bias, const OneBitOptions& options);

// M = h S g, O x I: what the layer multiplies by.
Tensor onebit_weight(const Tensor& latent, const Tensor& in_scale, const Tensor& out_scale);
// The same for a product with other matrices, with the normalisation behind it and the gradients
// above.
std::shared_ptr<const MadeMatrix> onebit_matrix(const Var& latent, const Var& in_scale,
                                                const Var& out_scale, const OneBitOptions& options);

}  // namespace halftone
