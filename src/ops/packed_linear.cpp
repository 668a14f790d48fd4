// The products with packed signs and codes, and what may stand behind them.
#include "halftone/ops/packed_linear.h"

#include <utility>

#include "halftone/ops/layer_norm.h"
#include "halftone/ops/linear.h"

namespace halftone {

std::vector<Var> packed_linears(const Var& x, const std::vector<const PackedWeights*>& weights) {
  require(!x.needs_grad(), "packed_linear: has no gradient");
  std::vector<SignProduct> products;
  products.reserve(weights.size());
  for (const PackedWeights* w : weights)
    products.push_back(
        {&w->tiles, w->in_scale,
         Tensor::uninitialized({x.dim(0), w->tiles.rows}, DType::f32, x.value().device())});
  multiply_sign_tiles(x.value(), products, weights.front()->inputs);
  std::vector<Var> out;
  out.reserve(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const PackedWeights& w = *weights[i];
    Tensor y = std::move(products[i].y);
    if (w.post_layer_norm) y = layer_norm(x.tape().constant(y), w.eps).value();
    if (w.bias.defined()) add_bias(w.bias, y);
    out.push_back(x.tape().record("packed_linear", {x}, std::move(y)));
  }
  return out;
}

Var packed_linear(const Var& x, const PackedWeights& weights) {
  return packed_linears(x, {&weights}).front();
}

Var coded_linear(const Var& x, const CodedMatrix& w, const Tensor& bias) {
  require(!x.needs_grad(), "coded_linear: has no gradient");
  Tensor y = Tensor::uninitialized({x.dim(0), w.rows}, DType::f32, x.value().device());
  multiply_coded(x.value(), w, y);
  if (bias.defined()) add_bias(bias, y);
  return x.tape().record("coded_linear", {x}, std::move(y));
}

}  // namespace halftone
