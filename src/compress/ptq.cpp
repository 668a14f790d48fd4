#include "halftone/compress/ptq.h"

#include <algorithm>
#include <chrono>

#include "halftone/quant/hessian.h"
#include "halftone/quant/quantise.h"

namespace halftone {
namespace {

constexpr int64_t kTokensAtOnce = 2048;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Stands before a linear for one pass and adds its inputs to a Hessian.
class RecordingLinear : public LinearLike {
 public:
  RecordingLinear(std::unique_ptr<LinearLike> inner, HessianSum& sum, int64_t length)
      : inner_(std::move(inner)), sum_(sum), length_(length) {}
  Var forward(Tape& tape, const Var& x) override {
    sum_.add(x.value(), x.dim(0) / length_);
    return inner_->forward(tape, x);
  }
  void visit(const ParamVisitor& visitor) override { inner_->visit(visitor); }
  std::unique_ptr<LinearLike> release() { return std::move(inner_); }

 private:
  std::unique_ptr<LinearLike> inner_;
  HessianSum& sum_;
  int64_t length_;
};

using Slot = std::unique_ptr<LinearLike>;

// Linears with the same input, the first of which records it.
std::vector<std::vector<Slot*>> input_groups(Block& b) {
  return {{&b.q, &b.k, &b.v}, {&b.o}, {&b.gate, &b.up}, {&b.down}};
}

// The outputs of a block over all sequences.
Tensor run_block(Decoder& model, size_t index, const Calibration& calibration) {
  const int64_t length = calibration.inputs.dim(0) / calibration.sequences;
  const int64_t at_once = std::max<int64_t>(1, kTokensAtOnce / length);
  Tensor out = Tensor::uninitialized(calibration.inputs.shape(), DType::f32);
  for (int64_t s = 0; s < calibration.sequences; s += at_once) {
    const int64_t last = std::min(calibration.sequences, s + at_once);
    Tape tape(Tape::Mode::no_grad);
    const Var x = tape.constant(calibration.inputs.rows(s * length, last * length));
    const Tensor y = model.block(tape, index, x, last - s).value();
    std::copy_n(y.data<float>(), y.numel(), out.data<float>() + s * length * out.dim(1));
  }
  return out;
}

// The Hessian of each group's input, and the block's outputs with the weights as they are.
std::vector<Tensor> record_hessians(Decoder& model, size_t index, const Calibration& calibration,
                                    const std::vector<std::vector<Slot*>>& groups,
                                    Tensor& outputs) {
  const int64_t length = calibration.inputs.dim(0) / calibration.sequences;
  std::vector<HessianSum> sums;
  for (const auto& group : groups) {
    const auto* dense = dynamic_cast<Linear*>(group.front()->get());
    require(dense, "quantise_block: a linear of block {} is not dense", index);
    sums.emplace_back(dense->weight.value.dim(1));
  }
  for (size_t g = 0; g < groups.size(); ++g)
    *groups[g].front() =
        std::make_unique<RecordingLinear>(std::move(*groups[g].front()), sums[g], length);
  outputs = run_block(model, index, calibration);
  std::vector<Tensor> out;
  for (size_t g = 0; g < groups.size(); ++g) {
    *groups[g].front() = static_cast<RecordingLinear&>(**groups[g].front()).release();
    out.push_back(sums[g].hessian());
  }
  return out;
}

QuantisedLinear quantise_linear(Slot& slot, const Tensor& hessian, PtqMethod method,
                                const PtqSettings& settings) {
  const auto& dense = dynamic_cast<Linear&>(*slot);
  const std::string name =
      dense.weight.name.substr(0, dense.weight.name.size() - std::string(".weight").size());
  auto low = std::make_unique<LowBitLinear>(
      name, quantise(method, dense.weight.value, hessian, settings), dense.bias.value);
  const double error = relative_error(dense.weight.value, low->weight.value, hessian);
  slot = std::move(low);
  return {name, error};
}

}  // namespace

Calibration start_calibration(Decoder& model, const std::vector<int32_t>& tokens,
                              int64_t sequences) {
  Tape tape(Tape::Mode::no_grad);
  return {model.embed(tape, tokens).value().to(DType::f32), sequences};
}

BlockReport quantise_block(Decoder& model, size_t index, Calibration& calibration, PtqMethod method,
                           const CompressSettings& settings) {
  BlockReport report;
  std::vector<std::vector<std::vector<Slot*>>> stages{input_groups(model.blocks[index])};
  if (settings.ptq.true_sequential) {
    stages.clear();
    for (const auto& group : input_groups(model.blocks[index])) stages.push_back({group});
  }
  Tensor float_outputs;
  for (const auto& groups : stages) {
    Tensor outputs;
    const auto calibrating = Clock::now();
    const std::vector<Tensor> hessians =
        record_hessians(model, index, calibration, groups, outputs);
    report.calibrate_seconds += seconds_since(calibrating);
    if (!float_outputs.defined()) float_outputs = outputs;
    const auto quantising = Clock::now();
    for (size_t g = 0; g < groups.size(); ++g)
      for (Slot* slot : groups[g])
        report.linears.push_back(quantise_linear(*slot, hessians[g], method, settings.ptq));
    report.quantise_seconds += seconds_since(quantising);
  }
  const auto finishing = Clock::now();
  if (settings.norm_tweak_present)
    report.tweak = tweak_norms(model, index, calibration.inputs, float_outputs,
                               calibration.sequences, settings.norm_tweak);
  calibration.inputs = run_block(model, index, calibration);
  report.calibrate_seconds += seconds_since(finishing);
  return report;
}

}  // namespace halftone
