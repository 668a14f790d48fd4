#include "halftone/compress/ptq.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "halftone/quant/hessian.h"
#include "halftone/quant/methods.h"

namespace halftone {
namespace {

constexpr int64_t kTokensAtOnce = 2048;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A block's parameters while it runs where the calibration lies; quantised they are on the CPU.
class BlockOnDevice {
 public:
  BlockOnDevice(Block& block, Device device) : block_(block), device_(device) {
    if (device_ != Device::cpu) block_.move_to(device_);
  }
  ~BlockOnDevice() {
    if (device_ != Device::cpu) block_.move_to(Device::cpu);
  }

 private:
  Block& block_;
  Device device_;
};

// Linears with the same input.
using InputGroup = std::vector<SlotRole>;

// In the order of the block.
std::vector<InputGroup> input_groups(const BlockSpec& spec) {
  std::map<int, InputGroup> groups;
  for (const Slot& slot : spec.slots)
    if (!slot.is_norm()) groups[slot.input_group].push_back(slot.role);
  std::vector<InputGroup> out;
  for (auto& [number, roles] : groups) out.push_back(std::move(roles));
  return out;
}

// The outputs of a block over all sequences.
Tensor run_block(Decoder& model, size_t index, const Calibration& calibration) {
  const int64_t length = calibration.inputs.dim(0) / calibration.sequences;
  const int64_t at_once = std::max<int64_t>(1, kTokensAtOnce / length);
  const Device device = calibration.inputs.device();
  Tensor out = Tensor::uninitialized(calibration.inputs.shape(), DType::f32, device);
  BlockOnDevice there(model.blocks[index], device);
  for (int64_t s = 0; s < calibration.sequences; s += at_once) {
    const int64_t last = std::min(calibration.sequences, s + at_once);
    Tape tape(Tape::Mode::no_grad);
    const Var x = tape.constant(calibration.inputs.rows(s * length, last * length));
    out.rows(s * length, last * length).copy_from(model.block(tape, index, x, last - s).value());
  }
  return out;
}

// The Hessian of each group's input, and the block's outputs with the weights as they are.
std::vector<Tensor> record_hessians(Decoder& model, size_t index, const Calibration& calibration,
                                    const std::vector<InputGroup>& groups, Tensor& outputs) {
  const int64_t length = calibration.inputs.dim(0) / calibration.sequences;
  Block& block = model.blocks[index];
  std::map<SlotRole, HessianSum> sums;  // of the first linear of each group
  for (const InputGroup& group : groups)
    sums.emplace(group.front(),
                 HessianSum(block.spec.slot(group.front()).in, calibration.inputs.device()));
  block.observer = [&](const Slot& slot, const Tensor& x) {
    if (const auto sum = sums.find(slot.role); sum != sums.end())
      sum->second.add(x, x.dim(0) / length);
  };
  outputs = run_block(model, index, calibration);
  block.observer = {};
  std::vector<Tensor> out;
  for (const InputGroup& group : groups) out.push_back(sums.at(group.front()).hessian());
  return out;
}

QuantisedLinear quantise_linear(std::unique_ptr<LinearLike>& linear, const Tensor& hessian,
                                const PtqMethod& method, const PtqSettings& settings) {
  const Tensor* weight = linear->full_precision();
  require(weight, "quantise_block: '{}' is quantised already", linear->name);
  auto low = std::make_unique<LowBitLinear>(
      linear->name, method.quantise(*weight, hessian, settings), linear->bias.value);
  const double error = relative_error(*weight, low->weight.value, hessian);
  linear = std::move(low);
  return {linear->name, error};
}

}  // namespace

Calibration start_calibration(Decoder& model, const std::vector<int32_t>& tokens, int64_t sequences,
                              Device device) {
  Tape tape(Tape::Mode::no_grad);
  return {model.embed(tape, tokens, sequences).value().to(DType::f32).to(device), sequences};
}

BlockReport quantise_block(Decoder& model, size_t index, Calibration& calibration,
                           const PtqMethod& method, const CompressSettings& settings) {
  BlockReport report;
  Block& block = model.blocks[index];
  std::vector<std::vector<InputGroup>> stages{input_groups(block.spec)};
  if (settings.ptq.true_sequential) {
    stages.clear();
    for (const InputGroup& group : input_groups(block.spec)) stages.push_back({group});
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
      for (const SlotRole role : groups[g])
        report.linears.push_back(
            quantise_linear(block.linears.at(role), hessians[g], method, settings.ptq));
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
