// The linear of codes: it is stored as the low-bit matrix that it stands for.
#include "halftone/nn/coded_linear.h"

#include "halftone/quant/coded_form.h"

namespace halftone {

CodedLinear::CodedLinear(std::string module, LowBitLayout layout, CodedMatrix weights,
                         Tensor bias_value)
    : LinearLike(std::move(module), std::move(bias_value)),
      layout_(layout),
      weights_(std::move(weights)) {}

Var CodedLinear::forward(Tape&, const Var& x) {
  return coded_linear(x, weights_, bias.value);
}

void CodedLinear::visit(const ParamVisitor& visitor) {
  if (bias.value.defined()) visitor(bias);
}

Tensor CodedLinear::dense_weight() const {
  return reconstruct(low_bit_matrix(layout_, weights_));
}

std::string CodedLinear::form() const {
  return layout_text(layout_);
}

std::map<std::string, Tensor> CodedLinear::stored() const {
  return whole_names(low_bit_matrix(layout_, weights_).parts);
}

std::map<std::string, Tensor> CodedLinear::mapped() const {
  return whole_names(coded_tensors(weights_));
}

LinearBits CodedLinear::bits() const {
  return low_bits(count_bits(layout_, weights_));
}

int64_t CodedLinear::read_bytes() const {
  int64_t out = 0;
  for (const auto& [name, tensor] : coded_tensors(weights_)) out += bytes_of(tensor);
  return out;
}

}  // namespace halftone
