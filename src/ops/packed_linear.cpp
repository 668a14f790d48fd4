// The product with packed signs, and what may stand behind it.
#include "halftone/ops/packed_linear.h"

#include "halftone/ops/layer_norm.h"
#include "halftone/ops/linear.h"

namespace halftone {

Var packed_linear(const Var& x, const SignTiles& w, const Tensor& in_scale, const Tensor& bias,
                  bool post_layer_norm, double eps) {
  require(!x.needs_grad(), "packed_linear: has no gradient");
  Tensor y = Tensor::uninitialized({x.dim(0), w.rows}, DType::f32, x.value().device());
  multiply_sign_tiles(x.value(), in_scale, w, y);
  if (post_layer_norm) y = layer_norm(x.tape().constant(y), eps).value();
  if (bias.defined()) add_bias(bias, y);
  return x.tape().record("packed_linear", {x}, y, {});
}

}  // namespace halftone
