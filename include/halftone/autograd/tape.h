// Reverse-mode differentiation on an eager tape: creation order is topological, backward() walks it
// in reverse and frees what it has passed. What backward needs is the closure's capture list.
//
//   Tape tape;
//   Var y = rms_norm(tape.constant(x), tape.param(gain), 1e-5);
//   tape.backward(mse(y, target));              // gain.grad is filled
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "halftone/autograd/op_times.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

// A gradient: zero until it is filled, so that the first contribution may write and others add.
struct Grad {
  Tensor tensor;
  bool filled = false;

  void clear() { *this = {}; }
};

// What a parameter is, for whoever treats some of them apart.
enum class ParamRole {
  weight,     // a matrix that is multiplied by
  latent,     // a matrix whose signs are multiplied by
  scale,      // a value vector beside a quantised matrix
  norm,       // the gain of a norm
  bias,       // of a linear or a norm
  embedding,  // of tokens or positions, or a head
};

// A trainable tensor under its checkpoint name. Its gradient lives on between tapes and adds up
// over micro-batches until the optimiser clears it.
struct Param {
  std::string name;
  Tensor value;
  Grad grad;
  ParamRole role = ParamRole::weight;

  // Weight decay applies.
  bool decays() const { return role != ParamRole::norm && role != ParamRole::bias; }
};

class Tape;

// What the tape knows of a variable; its value is held by those who read it.
struct Node {
  Shape shape;
  DType dtype;
  Device device = Device::cpu;
  Grad own;           // of variables made by ops
  Grad* grad = &own;  // or a Param's
  bool needs_grad = false;
  Tape* tape = nullptr;
};

// A value in a computation; a handle, cheap to copy.
class Var {
 public:
  Var() = default;
  Var(std::shared_ptr<Node> node, Tensor value)
      : node_(std::move(node)), value_(std::move(value)) {}

  bool defined() const { return node_ != nullptr; }
  const Tensor& value() const { return value_; }
  const Shape& shape() const { return node_->shape; }
  int64_t dim(int64_t i) const {
    const auto at = static_cast<size_t>(i);
    require(at < shape().size(), "Var::dim: {} of shape {}", i, shape_text(shape()));
    return shape()[at];
  }
  DType dtype() const { return node_->dtype; }
  Device device() const { return node_->device; }
  bool needs_grad() const { return node_ && node_->needs_grad; }
  Tape& tape() const { return *node_->tape; }
  const Grad& grad() const { return *node_->grad; }
  // For a backward that needs no value of this input: captures of it do not keep the value alive.
  Var without_value() const { return Var(node_, {}); }
  // For a backward that needs the value: gives it, from where it is kept, or computed again where
  // its op said how.
  using Again = std::function<Tensor()>;
  Again later() const;
  // Of an op whose value is quickly made again from what its own backward keeps: backwards that
  // read the value keep `again` in its place.
  Var made_by(Again again) const;

  // Where an op's backward adds: tensor = beta * tensor + contribution, beta 0 the first time. The
  // tensor has the value's shape and dtype. One choke point with add_grad for all gradients.
  struct Target {
    Tensor tensor;
    double beta;
  };
  Target grad_target() const;
  // The same, or a tensor to throw away where no gradient is needed.
  Target target_or_spare() const { return needs_grad() ? grad_target() : Target{value_.like(), 0}; }
  // Adds a whole tensor, or takes its storage when it is the first; shape and dtype are checked.
  void add_grad(const Tensor& dx) const;

 private:
  friend class Tape;

  std::shared_ptr<Node> node_;
  Tensor value_;
  std::shared_ptr<const Again> again_;  // null: the value itself is kept
};

class Tape {
 public:
  enum class Mode { record, no_grad };
  // With `times`, which must outlive the tape, every op's passes are timed. `outer` is the tape
  // that a tape without gradients computes a part for, which is computed again in its backward.
  explicit Tape(Mode mode = Mode::record, OpTimes* times = nullptr, Tape* outer = nullptr)
      : mode_(mode), times_(times), outer_(outer) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  Var constant(Tensor value);  // no gradient
  Var variable(Tensor value);  // a leaf whose gradient is read with grad()
  Var param(Param& param);     // a leaf whose gradient is the Param's

  // Called with each Param of the tape as soon as nothing on it is left that adds to its gradient.
  using Done = std::function<void(Param&)>;
  // Gradients of a one-element `loss` (times `seed`) into all leaves; the tape is empty afterwards.
  void backward(const Var& loss, double seed = 1.0, const Done& done = nullptr);
  // The same from a `y` of any shape, given the gradient of the loss in it.
  void backward(const Var& y, const Tensor& dy, const Done& done = nullptr);

  bool recording() const { return mode_ == Mode::record; }
  size_t size() const { return records_.size(); }
  OpTimes* times() const { return times_; }

  // For ops: wraps `value`; when an input needs a gradient, `backward(dy)` will be called once with
  // the output's gradient and must add to the inputs' gradients.
  class Inputs {
   public:
    Inputs(std::initializer_list<std::reference_wrapper<const Var>> inputs) { take(inputs); }
    Inputs(const std::vector<Var>& inputs) { take(inputs); }
    bool need_grad() const { return need_grad_; }
    bool are_on(const Tape& tape) const { return on_one_ && (!tape_ || tape_ == &tape); }

   private:
    template <class All>
    void take(const All& inputs) {
      for (const Var& input : inputs) {
        if (!input.defined()) continue;
        on_one_ &= !tape_ || tape_ == &input.tape();
        tape_ = &input.tape();
        need_grad_ |= input.needs_grad();
      }
    }

    const Tape* tape_ = nullptr;
    bool on_one_ = true, need_grad_ = false;
  };
  using Backward = std::function<void(const Tensor& dy)>;
  template <class F>
  Var record(const char* op, const Inputs& inputs, Tensor value, F&& backward) {
    Var out = made(op, inputs, std::move(value));
    if (out.needs_grad()) add_record(op, out, std::forward<F>(backward));
    return out;
  }
  // The same of an op that has no gradient, nor do its inputs need one.
  Var record(const char* op, const Inputs& inputs, Tensor value) {
    return made(op, inputs, std::move(value));
  }

 private:
  struct Record {
    const char* op;
    std::shared_ptr<Node> output;
    Backward backward;
  };
  // A Param, and the record before which it came onto the tape: none before it adds to its
  // gradient.
  struct Leaf {
    Param* param;
    size_t first;
  };
  std::shared_ptr<Node> make(const Tensor& value, bool needs_grad);
  Var made(const char* op, const Inputs& inputs, Tensor value);
  void add_record(const char* op, const Var& output, Backward backward);
  void add_leaf(Param& param);
  void end_leaves(const Done& done);

  Mode mode_;
  OpTimes* times_;
  Tape* outer_;
  std::vector<Record> records_;
  std::vector<Leaf> leaves_;
};

}  // namespace halftone
