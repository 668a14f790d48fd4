#include "halftone/autograd/tape.h"

#include <algorithm>

#include "halftone/tensor/arithmetic.h"

namespace halftone {
namespace {

void check_gradient(const Node& node, const Tensor& dx) {
  require(dx.shape() == node.shape && dx.dtype() == node.dtype, "gradient: {} {} for a value {} {}",
          dtype_name(dx.dtype()), shape_text(dx.shape()), dtype_name(node.dtype),
          shape_text(node.shape));
}

}  // namespace

Var::Target Var::grad_target() const {
  Grad& grad = *node_->grad;
  if (!grad.tensor.defined())
    grad.tensor = Tensor::uninitialized(node_->shape, node_->dtype, node_->device);
  check_gradient(*node_, grad.tensor);
  if (grad.filled && !grad.tensor.unique()) grad.tensor = grad.tensor.clone();
  const double beta = grad.filled ? 1.0 : 0.0;
  grad.filled = true;
  return {grad.tensor, beta};
}

Var::Again Var::later() const {
  if (again_) return [again = again_] { return (*again)(); };
  return [value = value_] { return value; };
}

Var Var::made_by(Again again) const {
  // Made once for all backwards that read it, the last of which lets it go.
  Var out = *this;
  out.again_ = std::make_shared<const Again>([again = std::move(again), made = Tensor()]() mutable {
    if (!made.defined()) made = again();
    return made;
  });
  return out;
}

void Var::add_grad(const Tensor& dx) const {
  check_gradient(*node_, dx);
  Grad& grad = *node_->grad;
  if (!grad.filled) {
    grad.tensor = dx;
    grad.filled = true;
    return;
  }
  // The storage may be shared with another variable's gradient (a sum gives dy to both its terms).
  Tensor sum = grad.tensor.unique() ? grad.tensor : dx.like();
  add(grad.tensor, dx, sum);
  grad.tensor = sum;
}

std::shared_ptr<Node> Tape::make(const Tensor& value, bool needs_grad) {
  auto node = std::make_shared<Node>();
  node->shape = value.shape();
  node->dtype = value.dtype();
  node->device = value.device();
  node->needs_grad = needs_grad && recording();
  node->tape = this;
  return node;
}

Var Tape::constant(Tensor value) {
  std::shared_ptr<Node> node = make(value, false);
  return Var(std::move(node), std::move(value));
}

Var Tape::variable(Tensor value) {
  std::shared_ptr<Node> node = make(value, true);
  return Var(std::move(node), std::move(value));
}

Var Tape::param(Param& param) {
  std::shared_ptr<Node> node = make(param.value, true);
  node->grad = &param.grad;
  if (Tape* tape = recording() ? this : outer_) tape->add_leaf(param);
  return Var(std::move(node), param.value);
}

Var Tape::made(const char* op, const Inputs& inputs, Tensor value) {
  require(inputs.are_on(*this), "{}: its inputs are on different tapes", op);
  std::shared_ptr<Node> node = make(value, inputs.need_grad());
  if (times_) times_->count(op, recording() ? OpTimes::Pass::forward : OpTimes::Pass::no_grad);
  return Var(std::move(node), std::move(value));
}

void Tape::add_record(const char* op, const Var& output, Backward backward) {
  records_.push_back({op, output.node_, std::move(backward)});
}

void Tape::add_leaf(Param& param) {
  const bool known = std::ranges::any_of(leaves_, [&](const Leaf& l) { return l.param == &param; });
  if (!known) leaves_.push_back({&param, records_.size()});
}

// The leaves to which no record that is left adds.
void Tape::end_leaves(const Done& done) {
  for (; !leaves_.empty() && leaves_.back().first >= records_.size(); leaves_.pop_back())
    if (done) done(*leaves_.back().param);
}

void Tape::backward(const Var& loss, double seed, const Done& done) {
  require(loss.value().numel() == 1, "backward: the loss has shape {}, expected one element",
          shape_text(loss.shape()));
  backward(loss, Tensor::full(loss.shape(), loss.dtype(), seed, loss.device()), done);
}

void Tape::backward(const Var& y, const Tensor& dy, const Done& done) {
  require(y.needs_grad(), "backward: the loss depends on nothing that needs a gradient");
  y.add_grad(dy);
  end_leaves(done);
  while (!records_.empty()) {
    Record record = std::move(records_.back());
    records_.pop_back();
    if (times_) times_->mark();
    if (record.output->own.filled) record.backward(record.output->own.tensor);
    record.output->own = {};
    record.backward = {};  // what it held is freed in its own time
    if (times_) times_->count(record.op, OpTimes::Pass::backward);
    end_leaves(done);
  }
}

}  // namespace halftone
