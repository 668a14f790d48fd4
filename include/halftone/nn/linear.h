// LinearLike: what takes a linear's place in a block. The only virtual interface of the program.
#pragma once

#include <functional>
#include <memory>

#include "halftone/autograd/tape.h"
#include "halftone/ops/onebit_linear.h"
#include "halftone/quant/low_bit_matrix.h"

namespace halftone {

using ParamVisitor = std::function<void(Param&)>;

class LinearLike {
 public:
  virtual ~LinearLike() = default;
  virtual Var forward(Tape& tape, const Var& x) = 0;  // (N x I) -> (N x O)
  virtual void visit(const ParamVisitor& visitor) = 0;
};

// y = x W^T + bias. The weight may be in F16 where it is not trained.
class Linear : public LinearLike {
 public:
  Linear(std::string name, Tensor weight, Tensor bias = {});
  Var forward(Tape& tape, const Var& x) override;
  void visit(const ParamVisitor& visitor) override;

  Param weight;  // <name>.weight
  Param bias;    // <name>.bias; undefined value: none
};

// The OneBit layer, see ops/onebit_linear.h.
class OneBitLinear : public LinearLike {
 public:
  OneBitLinear(std::string name, Tensor latent, Tensor in_scale, Tensor out_scale, Tensor bias,
               const OneBitOptions& options);
  Var forward(Tape& tape, const Var& x) override;
  void visit(const ParamVisitor& visitor) override;

  Param latent;     // <name>.weight, O x I
  Param in_scale;   // <name>.in_scale, I (g)
  Param out_scale;  // <name>.out_scale, O (h)
  Param bias;       // <name>.bias; undefined value: none
  OneBitOptions options;
};

// A linear of a post-training method: y = x W-hat^T + bias, W-hat rebuilt from its packed form. The
// weight is frozen.
class LowBitLinear : public LinearLike {
 public:
  LowBitLinear(std::string name, LowBitMatrix code, Tensor bias);
  Var forward(Tape& tape, const Var& x) override;
  void visit(const ParamVisitor& visitor) override;

  std::string name;
  LowBitMatrix code;
  Param weight;  // <name>.weight, rebuilt, F32
  Param bias;    // <name>.bias; undefined value: none
};

}  // namespace halftone
