// The product with packed signs, and what may stand behind it.
#include "halftone/ops/packed_linear.h"

#include "halftone/ops/layer_norm.h"
#include "halftone/ops/linear.h"

namespace halftone {

std::vector<Var> packed_linears(const Var& x, const std::vector<PackedWeights>& weights) {
  require(!x.needs_grad(), "packed_linear: has no gradient");
  std::vector<SignProduct> products;
  for (const PackedWeights& w : weights)
    products.push_back(
        {w.tiles, w.in_scale,
         Tensor::uninitialized({x.dim(0), w.tiles->rows}, DType::f32, x.value().device())});
  multiply_sign_tiles(x.value(), products);
  std::vector<Var> out;
  for (size_t i = 0; i < weights.size(); ++i) {
    Tensor y = products[i].y;
    if (weights[i].post_layer_norm) y = layer_norm(x.tape().constant(y), weights[i].eps).value();
    if (weights[i].bias.defined()) add_bias(weights[i].bias, y);
    out.push_back(x.tape().record("packed_linear", {x}, y, {}));
  }
  return out;
}

Var packed_linear(const Var& x, const SignTiles& w, const Tensor& in_scale, const Tensor& bias,
                  bool post_layer_norm, double eps) {
  return packed_linears(x, {{&w, in_scale, bias, post_layer_norm, eps}}).front();
}

}  // namespace halftone
