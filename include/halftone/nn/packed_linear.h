// A linear of packed signs: what the OneBit layers become where they are not trained further.
#pragma once

#include "halftone/nn/linear.h"
#include "halftone/ops/packed_linear.h"

namespace halftone {

// y = (x o g) W^T, w_oi = c_ok s_oi (tensor/sign_tiles.h), a layer normalisation behind it or none,
// + bias. Takes a thirtieth of the memory that latent weights take, and has no gradients.
class PackedLinear : public LinearLike {
 public:
  // `form` as LinearLike::form() gives it.
  PackedLinear(std::string name, std::string form, PackedWeights weights);
  Var forward(Tape& tape, const Var& x) override;
  void visit(const ParamVisitor& visitor) override;
  Tensor dense_weight() const override;
  std::string form() const override { return form_; }
  std::map<std::string, Tensor> stored() const override;
  std::map<std::string, Tensor> mapped() const override;  // words and scales in tiles
  LinearBits bits() const override;
  const PackedWeights* packed() const override { return &weights_; }
  void take_inputs(SignInputs inputs) { weights_.inputs = inputs; }
  int64_t read_bytes() const override {
    return bytes_of(weights_.tiles.words) + bytes_of(weights_.tiles.scales);
  }

 private:
  void put_in_scale(std::map<std::string, Tensor>& out) const;

  std::string form_;
  PackedWeights weights_;
};

// The same linear in parameters alone, which every device can multiply by: packed signs become
// latent weights of +-1 with their scales, what else is quantised its dense weight.
std::unique_ptr<LinearLike> unpacked(const LinearLike& linear);

}  // namespace halftone
