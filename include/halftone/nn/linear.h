// LinearLike: what takes a linear's place in a block. A model is made of these alone.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>

#include "halftone/autograd/tape.h"
#include "halftone/ops/group_scaled_linear.h"
#include "halftone/ops/onebit_linear.h"
#include "halftone/ops/packed_linear.h"
#include "halftone/quant/low_bit_matrix.h"

namespace halftone {

using ParamVisitor = std::function<void(Param&)>;

// Why a OneBit layer with a normalisation is no matrix.
inline constexpr const char* kNoDenseWeight =
    "has a layer normalisation behind it, which no dense weight can hold; train with "
    "student.post_layer_norm = false";

// What a quantised linear takes; all 0 for one of full precision.
struct LinearBits {
  int64_t weights = 0;       // O I
  double paper_bits = 0;     // by the method's own formula, over
  double paper_numbers = 0;  // so many numbers
  int64_t stored_bits = 0;   // of all that stored() holds of it, without the bias
};

class LinearLike {
 public:
  explicit LinearLike(std::string name, Tensor bias_value);
  virtual ~LinearLike() = default;

  virtual Var forward(Tape& tape, const Var& x) = 0;  // (N x I) -> (N x O)
  virtual void visit(const ParamVisitor& visitor) = 0;

  // The weight W that forward multiplies by, O x I in F32. Throws Error(recipe), naming the linear,
  // where no matrix does what forward does.
  virtual Tensor dense_weight() const = 0;
  // The weight of a linear of full precision, which can be quantised; null for others.
  virtual const Tensor* full_precision() const { return nullptr; }
  // How it is stored, as a text that linear_of() takes: "" for full precision.
  virtual std::string form() const { return ""; }
  // The tensors of a model file that is not trained further, by their whole names.
  virtual std::map<std::string, Tensor> stored() const = 0;
  // The same in the order in which forward reads them: of a file that is mapped (model/packed.h).
  virtual std::map<std::string, Tensor> mapped() const { return stored(); }
  virtual LinearBits bits() const { return {}; }
  // What packed_linears() multiplies by in place of forward, so that linears of one input are
  // computed together; null for linears of another kind.
  virtual const PackedWeights* packed() const { return nullptr; }
  // The matrix that forward multiplies by, with the normalisation behind it, so that linears of one
  // input become one product on a GPU; null where forward is more than that.
  virtual std::shared_ptr<const MadeMatrix> matrix(Tape&) { return nullptr; }
  // Bytes that forward reads of it for one token.
  virtual int64_t read_bytes() const = 0;

  const std::string name;  // model.layers.3.self_attn.q_proj
  Param bias;              // <name>.bias; undefined value: none

 protected:
  static int64_t bytes_of(const Tensor& tensor) { return static_cast<int64_t>(tensor.bytes()); }
  Var bias_or_none(Tape& tape);
  void put_bias(std::map<std::string, Tensor>& out) const;
  // Tensors by the names that they have within the linear, and the bias, by their whole ones.
  std::map<std::string, Tensor> whole_names(const std::map<std::string, Tensor>& parts) const;
};

// y = x W^T + bias. The weight may be in F16 where it is not trained.
class Linear : public LinearLike {
 public:
  Linear(std::string name, Tensor weight, Tensor bias = {});
  Var forward(Tape& tape, const Var& x) override;
  std::shared_ptr<const MadeMatrix> matrix(Tape& tape) override;
  void visit(const ParamVisitor& visitor) override;
  Tensor dense_weight() const override;
  const Tensor* full_precision() const override { return &weight.value; }
  std::map<std::string, Tensor> stored() const override;
  int64_t read_bytes() const override { return bytes_of(weight.value); }

  Param weight;  // <name>.weight
};

// The OneBit layer, see ops/onebit_linear.h.
class OneBitLinear : public LinearLike {
 public:
  OneBitLinear(std::string name, Tensor latent, Tensor in_scale, Tensor out_scale, Tensor bias,
               const OneBitOptions& options);
  Var forward(Tape& tape, const Var& x) override;
  std::shared_ptr<const MadeMatrix> matrix(Tape& tape) override;
  void visit(const ParamVisitor& visitor) override;
  Tensor dense_weight() const override;  // h sign(W) g
  std::string form() const override;
  std::map<std::string, Tensor> stored() const override;
  int64_t read_bytes() const override { return bytes_of(latent.value); }
  LinearBits bits() const override;

  Param latent;     // <name>.weight, O x I
  Param in_scale;   // <name>.in_scale, I (g)
  Param out_scale;  // <name>.out_scale, O (h)
  OneBitOptions options;
};

// Signs with a scale a row and group of inputs, see ops/group_scaled_linear.h.
class GroupScaledLinear : public LinearLike {
 public:
  GroupScaledLinear(std::string name, Tensor latent, Tensor out_scale, Tensor bias,
                    Ste ste = Ste::tanh);
  Var forward(Tape& tape, const Var& x) override;
  std::shared_ptr<const MadeMatrix> matrix(Tape& tape) override;
  void visit(const ParamVisitor& visitor) override;
  Tensor dense_weight() const override;  // c sign(W)
  std::string form() const override;
  std::map<std::string, Tensor> stored() const override;
  int64_t read_bytes() const override { return bytes_of(latent.value); }
  LinearBits bits() const override;

  Param latent;     // <name>.weight, O x I
  Param out_scale;  // <name>.out_scale, O x groups (c)
  Ste ste;
};

LinearBits low_bits(const LowBitCount& count);

// A linear of a post-training method while its block is worked on: y = x W-hat^T + bias, W-hat
// rebuilt from its packed form. The weight is frozen.
class LowBitLinear : public LinearLike {
 public:
  LowBitLinear(std::string name, LowBitMatrix code, Tensor bias);
  Var forward(Tape& tape, const Var& x) override;
  void visit(const ParamVisitor& visitor) override;
  Tensor dense_weight() const override { return weight.value; }
  std::string form() const override;
  std::map<std::string, Tensor> stored() const override;
  std::map<std::string, Tensor> mapped() const override;  // as nn/coded_linear.h has them
  int64_t read_bytes() const override { return bytes_of(weight.value); }
  LinearBits bits() const override;

  LowBitMatrix code;
  Param weight;  // <name>.weight, rebuilt, F32
};

// The linear of O x I that `form` names, of the tensors that take(part) gives: of full precision
// "weight"; onebit "weight" (latent) or "sign", "in_scale", "out_scale"; onebit row and onebit
// group the same without "in_scale", all three also as "words" and "scales" (tensor/sign_tiles.h);
// of a low-bit layout its parts, or its coded form (quant/coded_form.h). Signs with scales in F16
// become a PackedLinear, low-bit layouts of at most 4 bits a CodedLinear. take() returns an
// undefined tensor for what is not there. Throws Error(format) naming the tensor that is missing or
// has another shape or dtype than expected.
using TakeTensor = std::function<Tensor(const std::string& part)>;
std::unique_ptr<LinearLike> linear_of(const std::string& form, const std::string& name, int64_t out,
                                      int64_t in, const TakeTensor& take);

// Throws Error(format), naming the tensor, where it is of none of the dtypes.
void expect_dtype(const Tensor& tensor, const std::string& name,
                  std::initializer_list<DType> expected);

}  // namespace halftone
