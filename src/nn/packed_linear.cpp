// The linear of packed signs: it computes as the layer that it was packed from, and is stored as
// it.
#include "halftone/nn/packed_linear.h"

#include "halftone/base/error.h"
#include "halftone/base/rounding.h"
#include "halftone/ops/group_scaled_linear.h"
#include "halftone/ops/onebit_linear.h"
#include "halftone/tensor/packed_signs.h"

namespace halftone {

PackedLinear::PackedLinear(std::string module, std::string form, PackedWeights weights)
    : LinearLike(std::move(module), weights.bias),
      form_(std::move(form)),
      weights_(std::move(weights)) {}

Var PackedLinear::forward(Tape&, const Var& x) {
  return packed_linear(x, weights_);
}

void PackedLinear::visit(const ParamVisitor& visitor) {
  if (bias.value.defined()) visitor(bias);
}

Tensor PackedLinear::dense_weight() const {
  if (weights_.post_layer_norm) throw_error(ErrorKind::recipe, "'{}' {}", name, kNoDenseWeight);
  const SignTiles& w = weights_.tiles;
  const Tensor signs = unpack_signs(untile_signs(w), w.columns);
  const Tensor scales = untile_scales(w).to(DType::f32);
  return weights_.in_scale.defined()
             ? onebit_weight(signs, weights_.in_scale, scales)
             : group_scaled_weight(signs, scales.reshape({w.rows, w.groups}));
}

std::map<std::string, Tensor> PackedLinear::stored() const {
  const Tensor scales = untile_scales(weights_.tiles);
  const int64_t groups = weights_.tiles.groups;
  std::map<std::string, Tensor> out{
      {name + ".sign", untile_signs(weights_.tiles)},
      // Without an input scale they are a matrix, also where it has one column.
      {name + ".out_scale",
       weights_.in_scale.defined() ? scales : scales.reshape({weights_.tiles.rows, groups})}};
  put_in_scale(out);
  put_bias(out);
  return out;
}

std::map<std::string, Tensor> PackedLinear::mapped() const {
  std::map<std::string, Tensor> out{{name + ".words", weights_.tiles.words},
                                    {name + ".scales", weights_.tiles.scales}};
  put_in_scale(out);
  put_bias(out);
  return out;
}

void PackedLinear::put_in_scale(std::map<std::string, Tensor>& out) const {
  if (weights_.in_scale.defined()) out[name + ".in_scale"] = weights_.in_scale.to(DType::f16);
}

std::unique_ptr<LinearLike> unpacked(const LinearLike& linear) {
  const auto* packed = dynamic_cast<const PackedLinear*>(&linear);
  if (!packed)
    return std::make_unique<Linear>(linear.name, linear.dense_weight(), linear.bias.value);
  // Scales in F32 are those of latent weights.
  const std::map<std::string, Tensor> stored = packed->stored();
  const SignTiles& tiles = packed->packed()->tiles;
  return linear_of(linear.form(), linear.name, tiles.rows, tiles.columns,
                   [&](const std::string& part) {
                     const auto it = stored.find(linear.name + "." + part);
                     if (it == stored.end()) return Tensor();
                     return part == "sign" ? it->second : it->second.to(DType::f32);
                   });
}

LinearBits PackedLinear::bits() const {
  const SignTiles& w = weights_.tiles;
  const int64_t scales = w.rows * w.groups + weights_.in_scale.numel(),
                weights = w.rows * w.columns;
  return {.weights = weights,
          .paper_bits = static_cast<double>(weights + 16 * scales),
          .paper_numbers = static_cast<double>(weights + scales),
          .stored_bits = w.rows * round_up(w.columns, 8) + 16 * scales};
}

}  // namespace halftone
