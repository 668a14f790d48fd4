// A post-training method applied block by block (methods 0.3): the inputs of a block are what the
// quantised blocks before it give.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "halftone/compress/norm_tweak.h"
#include "halftone/compress/settings.h"
#include "halftone/nn/decoder.h"
#include "halftone/quant/methods.h"

namespace halftone {

// Calibration activations: the inputs of the next block, N sequences of L tokens (N L x C, F32).
// Blocks run, and Hessians are summed, on the device where they lie; weights are quantised on the
// CPU.
struct Calibration {
  Tensor inputs;
  int64_t sequences = 0;
};

// The embeddings of `tokens`, N sequences one after another, of a model on the CPU.
Calibration start_calibration(Decoder& model, const std::vector<int32_t>& tokens, int64_t sequences,
                              Device device = Device::cpu);

struct QuantisedLinear {
  std::string name;
  double relative_error = 0;  // tr(D H D^T) / tr(W H W^T)
};

struct BlockReport {
  std::vector<QuantisedLinear> linears;
  std::optional<NormTweakReport> tweak;
  double calibrate_seconds = 0, quantise_seconds = 0;
};

// Quantises the linears of block `index`, which must be of full precision, in F32, tweaks its
// norms when the recipe says so, and moves `calibration` on to the block's outputs.
//
// Linears with one input (Slot::input_group) share a Hessian. All Hessians are of the block's
// original weights (released codes); true_sequential takes the groups in turn instead, each after
// the ones before it are quantised.
BlockReport quantise_block(Decoder& model, size_t index, Calibration& calibration,
                           const PtqMethod& method, const CompressSettings& settings);

}  // namespace halftone
