// A post-training method applied block by block (methods 0.3): the inputs of a block are what the
// quantised blocks before it give. Weights are quantised on the CPU.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "halftone/compress/calibration.h"
#include "halftone/compress/norm_tweak.h"
#include "halftone/compress/settings.h"
#include "halftone/nn/decoder.h"
#include "halftone/quant/methods.h"

namespace halftone {

struct QuantisedLinear {
  std::string name;
  double relative_error = 0;  // tr(D H D^T) / tr(W H W^T)
};

struct BlockReport {
  std::vector<QuantisedLinear> linears;
  std::optional<NormTweakReport> tweak;  // of the first rank
  double calibrate_seconds = 0, quantise_seconds = 0;
};

// Quantises the linears of block `index`, which must be of full precision, in F32, tweaks its
// norms when the recipe says so, and moves `calibration` on to the block's outputs.
//
// Linears with one input (Slot::input_group) share a Hessian. All Hessians are of the block's
// original weights (released codes); true_sequential takes the groups in turn instead, each after
// the ones before it are quantised.
//
// Collective. Each rank runs the block on its own part of the calibration, the Hessians are sums
// over all of them, and the linears go to the ranks by their work; every rank has the whole block
// then. Norms are tweaked on the first rank, one sequence after another. The bits are those of one
// rank.
BlockReport quantise_block(Decoder& model, size_t index, Calibration& calibration,
                           const PtqMethod& method, const CompressSettings& settings);

}  // namespace halftone
