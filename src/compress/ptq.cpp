#include "halftone/compress/ptq.h"

#include <algorithm>
#include <functional>
#include <map>

#include "base/stopwatch.h"
#include "compress/input_hessians.h"
#include "compress/quantised.h"
#include "halftone/quant/hessian.h"
#include "halftone/quant/methods.h"

namespace halftone {
namespace {

// Which rank quantises which linear: the heaviest first, each to the rank that has least to do.
std::map<SlotRole, int> shared_out(const BlockSpec& spec, const std::vector<InputGroup>& groups,
                                   int ranks) {
  // Feeding errors back, or measuring them, takes out in^2; inverting the Hessian in^3.
  const auto work = [&](SlotRole role) {
    const auto out = static_cast<double>(spec.slot(role).out),
               in = static_cast<double>(spec.slot(role).in);
    return in * in * (out + in);
  };
  std::vector<SlotRole> roles;
  for (const InputGroup& group : groups) roles.insert(roles.end(), group.begin(), group.end());
  std::ranges::stable_sort(roles, std::greater(), work);
  std::vector<double> load(static_cast<size_t>(ranks), 0);
  std::map<SlotRole, int> out;
  for (const SlotRole role : roles) {
    const auto least = std::ranges::min_element(load);
    *least += work(role);
    out[role] = static_cast<int>(least - load.begin());
  }
  return out;
}

Quantised quantise_linear(const LinearLike& linear, const Tensor& hessian, const PtqMethod& method,
                          const PtqSettings& settings) {
  const Tensor* weight = linear.full_precision();
  require(weight, "quantise_block: '{}' is quantised already", linear.name);
  auto low = std::make_unique<LowBitLinear>(
      linear.name, method.quantise(*weight, hessian, settings), linear.bias.value);
  const double error = relative_error(*weight, low->weight.value, hessian);
  return {std::move(low), error};
}

// A step of a norm follows from the one before it: on the first rank alone, over the sequences of
// all, which then take its norms.
std::optional<NormTweakReport> tweak_on_first(Decoder& model, size_t index,
                                              const Calibration& calibration,
                                              const Tensor& float_outputs,
                                              const NormTweakSettings& settings) {
  const Ranks& ranks = calibration.ranks;
  const Tensor inputs = calibration.whole(calibration.inputs);
  const Tensor targets = calibration.whole(float_outputs);
  std::optional<NormTweakReport> report;
  ranks.first_does([&] {
    report = tweak_norms(model, index, inputs, targets, calibration.sequences, settings);
  });
  take_norms_of_first(model.blocks[index], ranks);
  return report;
}

}  // namespace

BlockReport quantise_block(Decoder& model, size_t index, Calibration& calibration,
                           const PtqMethod& method, const CompressSettings& settings) {
  BlockReport report;
  Block& block = model.blocks[index];
  std::vector<std::vector<InputGroup>> stages{input_groups(block.spec)};
  if (settings.ptq.true_sequential) {
    stages.clear();
    for (const InputGroup& group : input_groups(block.spec)) stages.push_back({group});
  }
  const Ranks& ranks = calibration.ranks;
  Tensor float_outputs;
  for (const auto& groups : stages) {
    const std::map<SlotRole, int> owners = shared_out(block.spec, groups, ranks.size());
    Tensor outputs;
    const Stopwatch calibrating;
    const InputHessians hessians =
        record_hessians(model, index, calibration, groups, owners, outputs);
    report.calibrate_seconds += calibrating.seconds();
    if (!float_outputs.defined()) float_outputs = outputs;
    const Stopwatch quantising;
    std::map<SlotRole, Quantised> quantised;
    ranks.together([&] {
      for (const auto& [role, hessian] : hessians)
        quantised[role] = quantise_linear(*block.linears.at(role), hessian, method, settings.ptq);
    });
    quantised = of_all_ranks(std::move(quantised), owners, block, ranks);
    for (const InputGroup& group : groups)
      for (const SlotRole role : group) {
        auto& [linear, error] = quantised.at(role);
        report.linears.push_back({linear->name, error});
        block.linears.at(role) = std::move(linear);
      }
    report.quantise_seconds += quantising.seconds();
  }
  const Stopwatch finishing;
  if (settings.norm_tweak_present)
    report.tweak = tweak_on_first(model, index, calibration, float_outputs, settings.norm_tweak);
  calibration.inputs = run_block(model, index, calibration);
  report.calibrate_seconds += finishing.seconds();
  return report;
}

}  // namespace halftone
