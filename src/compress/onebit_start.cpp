// Linears become signs with scales: OneBit layers by SVID, or with scales that can be stored in
// blocks.
#include "halftone/compress/onebit_start.h"

#include <set>

#include "compress/calibrated_start.h"
#include "compress/input_hessians.h"
#include "folding.h"
#include "halftone/base/error.h"
#include "halftone/quant/latent.h"
#include "halftone/quant/svid.h"
#include "halftone/quant/tied_scales.h"

namespace halftone {
namespace {

// The mean of the linears' relative errors.
struct MeanError {
  double sum = 0;
  int64_t count = 0;

  void add(double error) {
    sum += error;
    ++count;
  }
  void add(const MeanError& other) {
    sum += other.sum;
    count += other.count;
  }
  double value() const { return count ? sum / static_cast<double>(count) : 0; }
};

const Tensor& weight_of(const LinearLike& linear) {
  const Tensor* weight = linear.full_precision();
  require(weight, "start_onebit: '{}' is quantised already", linear.name);
  return *weight;
}

Tensor start_latent(const Tensor& w, const StudentSettings& settings) {
  const double scale = resolved_latent_scale(settings);
  return settings.latent_init == LatentInit::magnitude ? magnitude_latent(w, scale)
                                                       : sign_latent(w, scale);
}

// `hessian`, of the linear's input, is null where the weights alone say how it starts.
std::unique_ptr<OneBitLinear> start(const LinearLike& linear, const Tensor* hessian,
                                    const StudentSettings& settings, MeanError& error) {
  const Tensor& weight = weight_of(linear);
  Svid factors = svid(weight, settings.svid, settings.svid_split);
  auto out = std::make_unique<OneBitLinear>(
      linear.name, start_latent(weight, settings), factors.in_scale, factors.out_scale,
      linear.bias.value.clone(),
      OneBitOptions{.post_layer_norm = settings.post_layer_norm, .ste = settings.ste});
  if (!hessian) {
    error.add(factors.relative_error);
    return out;
  }
  StartedInScale in_scale{.g = factors.in_scale};
  error.add(refine_start({{&weight, &out->latent, &out->out_scale}}, in_scale, *hessian));
  out->in_scale.value = in_scale.g;
  return out;
}

// g undefined: 1.
std::unique_ptr<GroupScaledLinear> start_group_scaled(const LinearLike& linear, Tensor g,
                                                      const StudentSettings& settings,
                                                      MeanError& error) {
  const Tensor& weight = weight_of(linear);
  const int64_t in = weight.dim(1);
  if (!g.defined()) g = Tensor::full({in}, DType::f32, 1);
  GroupScales scales = group_scales(weight, g, settings.scale_group ? settings.scale_group : in);
  error.add(scales.relative_error);
  return std::make_unique<GroupScaledLinear>(linear.name, start_latent(weight, settings),
                                             std::move(scales.scales), linear.bias.value.clone(),
                                             settings.ste);
}

// Linears of a fold share the g that is to be folded; others have none, g = 1.
void refine_scaled(const Block& block, const InputHessians& hessians,
                   const std::vector<Fold>& folds, std::vector<Tensor>& tied, ScaledLinears& made,
                   MeanError& error) {
  std::set<SlotRole> folded;
  const auto refined = [&](const std::vector<SlotRole>& roles, StartedInScale in_scale) {
    std::vector<StartedLinear> linears;
    for (const SlotRole role : roles) {
      GroupScaledLinear& linear = *made.at(role);
      linears.push_back({&weight_of(*block.linears.at(role)), &linear.latent, &linear.out_scale});
      folded.insert(role);
    }
    error.add(refine_start(linears, in_scale, hessians.at(roles.front())));
    return in_scale.g;
  };
  for (size_t i = 0; i < folds.size(); ++i)
    tied[i] = refined(folds[i].linears,
                      {.g = tied[i], .repeats = folds[i].repeats, .head_dim = block.spec.head_dim});
  for (const auto& [role, linear] : made)
    if (!folded.contains(role))
      refined({role},
              {.g = Tensor::full({linear->latent.value.dim(1)}, DType::f32, 1), .fixed = true});
}

void start_group_scaled(Block& block, const InputHessians* hessians,
                        const StudentSettings& settings, MeanError& error) {
  const std::vector<Fold> folds = settings.foldable ? folds_of(block.spec) : std::vector<Fold>();
  std::vector<Tensor> tied;             // a fold
  std::map<SlotRole, Tensor> in_scale;  // of its linears
  for (const Fold& fold : folds) {
    std::vector<Tensor> weights;
    for (const SlotRole role : fold.linears) weights.push_back(weight_of(*block.linears.at(role)));
    tied.push_back(tied_in_scale(fold, weights, block.spec.head_dim, settings.svid));
    for (const SlotRole role : fold.linears)
      in_scale[role] = fold.repeats == 1
                           ? tied.back()
                           : repeated_heads(tied.back(), fold.repeats, block.spec.head_dim);
  }
  ScaledLinears made;
  MeanError of_weights;
  for (const auto& [role, linear] : block.linears)
    made[role] = start_group_scaled(*linear, in_scale[role], settings, of_weights);
  if (hessians)
    refine_scaled(block, *hessians, folds, tied, made, error);
  else
    error.add(of_weights);
  for (size_t i = 0; i < folds.size(); ++i) fold(folds[i], tied[i], block, made);
  for (auto& [role, linear] : made) block.linears[role] = std::move(linear);
}

void start_block(Block& block, const InputHessians* hessians, const StudentSettings& settings,
                 MeanError& error) {
  if (settings.group_scaled()) return start_group_scaled(block, hessians, settings, error);
  for (auto& [role, linear] : block.linears)
    linear = start(*linear, hessians ? &hessians->at(role) : nullptr, settings, error);
}

}  // namespace

void check_student(const DecoderSpec& spec, const StudentSettings& settings) {
  for (const BlockSpec& block : spec.blocks) {
    if (settings.foldable) folds_of(block);
    if (settings.scale_group == 0) continue;
    for (const Slot& slot : block.slots)
      if (slot.in % settings.scale_group != 0)
        throw_error(ErrorKind::recipe,
                    "student.scale_group: found {}, but '{}' has {} inputs, a multiple expected",
                    settings.scale_group, slot.hf, slot.in);
  }
}

double start_onebit(Decoder& student, const StudentSettings& settings) {
  check_student(student.spec, settings);
  require(settings.start == StudentStart::svid, "start_onebit: arb-rc without calibration");
  MeanError error;
  for (Block& block : student.blocks) start_block(block, nullptr, settings, error);
  return error.value();
}

double start_onebit(Decoder& student, const StudentSettings& settings, Calibration calibration,
                    const BlockStarted& started) {
  check_student(student.spec, settings);
  MeanError error;
  for (size_t i = 0; i < student.blocks.size(); ++i) {
    Block& block = student.blocks[i];
    const bool calibrated = settings.start == StudentStart::arb_rc;
    InputHessians hessians;
    Tensor outputs;
    if (calibrated)
      hessians = record_hessians(student, i, calibration, outputs);
    else
      outputs = run_block(student, i, calibration);
    start_block(block, calibrated ? &hessians : nullptr, settings, error);
    started(i, outputs);
    calibration.inputs = outputs;
  }
  return error.value();
}

}  // namespace halftone
