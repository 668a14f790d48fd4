// Input scales that go into the norms and linears in front.
#include "folding.h"

#include <cmath>

#include "halftone/base/error.h"
#include "halftone/quant/tied_scales.h"
#include "halftone/tensor/arithmetic.h"
#include "halftone/tensor/numbers.h"

namespace halftone {
namespace {

double squares(const Tensor& x) {
  double sum = 0;
  for (const double v : values_of(x)) sum += v * v;
  return sum;
}

double mean_square(const std::vector<Tensor>& all) {
  double sum = 0, count = 0;
  for (const Tensor& x : all) {
    sum += squares(x);
    count += static_cast<double>(x.numel());
  }
  return count > 0 ? sum / count : 0;
}

Tensor row_scaled(const Tensor& factors, const Tensor& x) {
  Tensor out = x.clone();
  scale_rows(factors, out);
  return out;
}

// A parameter that multiplies what its module makes, row by row, and the module's bias.
struct Factors {
  Param &scale, &bias;
  double offset = 0;  // what is stored without

  Tensor whole() const { return shifted(scale.value, offset); }
};

Factors factors_of(SlotRole role, Block& block, ScaledLinears& linears) {
  if (const auto norm = block.norms.find(role); norm != block.norms.end())
    return {norm->second.gain, norm->second.bias, norm->second.spec.gain_offset};
  GroupScaledLinear& linear = *linears.at(role);
  return {linear.out_scale, linear.bias};
}

}  // namespace

std::vector<Fold> folds_of(const BlockSpec& block) {
  std::vector<Fold> out;
  const bool gated = block.has(SlotRole::gate);
  if (block.norm.affine && block.has(SlotRole::attention_norm))
    out.push_back({{SlotRole::q, SlotRole::k, SlotRole::v}, SlotRole::attention_norm});
  out.push_back({{SlotRole::o}, SlotRole::v, block.heads / block.key_value_heads});
  if (block.norm.affine && block.has(SlotRole::mlp_norm))
    out.push_back({gated ? std::vector{SlotRole::gate, SlotRole::up} : std::vector{SlotRole::up},
                   SlotRole::mlp_norm});
  if (!gated && block.activation != Activation::relu)
    throw_error(ErrorKind::recipe,
                "student.foldable: found true, false expected: '{}' has an activation in front "
                "that is no ReLU and no gate, which its input scale cannot pass",
                block.slot(SlotRole::down).hf);
  out.push_back({{SlotRole::down}, SlotRole::up});
  return out;
}

Tensor tied_in_scale(const Fold& fold, const std::vector<Tensor>& weights, int64_t head_dim,
                     SvidMethod method) {
  const Tensor all = weights.size() == 1 ? weights.front() : stacked_rows(weights);
  return svid(fold.repeats == 1 ? all : summed_heads(all, fold.repeats, head_dim), method).in_scale;
}

void fold(const Fold& fold, const Tensor& g, Block& block, ScaledLinears& linears) {
  const Factors into = factors_of(fold.into, block, linears);
  Tensor taken = row_scaled(g, into.whole());
  std::vector<Tensor> scales;
  for (const SlotRole role : fold.linears) scales.push_back(linears.at(role)->out_scale.value);
  const double both = mean_square(scales) * mean_square({taken});
  const double k = both > 0 ? std::pow(mean_square(scales) / mean_square({taken}), 0.25) : 1;
  for (Tensor& c : scales) scale(c, 1 / k, c);
  scale(taken, k, taken);
  into.scale.value = shifted(taken, -into.offset);
  if (!into.bias.value.defined()) return;
  into.bias.value = row_scaled(g, into.bias.value);
  scale(into.bias.value, k, into.bias.value);
}

}  // namespace halftone
