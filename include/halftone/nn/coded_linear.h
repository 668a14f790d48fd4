// A linear of a post-training method as it is multiplied by: codes that are never decoded whole.
#pragma once

#include "halftone/nn/linear.h"
#include "halftone/tensor/coded_matrix.h"

namespace halftone {

// y = x W^T + bias, W the low-bit matrix of `layout` that `weights` is the coded form of
// (quant/coded_form.h). Takes the memory of its codes, and has no gradients.
class CodedLinear : public LinearLike {
 public:
  CodedLinear(std::string name, LowBitLayout layout, CodedMatrix weights, Tensor bias);
  Var forward(Tape& tape, const Var& x) override;
  void visit(const ParamVisitor& visitor) override;
  Tensor dense_weight() const override;
  std::string form() const override;
  std::map<std::string, Tensor> stored() const override;
  std::map<std::string, Tensor> mapped() const override;
  LinearBits bits() const override;
  int64_t read_bytes() const override;

 private:
  LowBitLayout layout_;
  CodedMatrix weights_;
};

}  // namespace halftone
