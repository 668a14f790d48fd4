// Norm tweaking (Li et al., AAAI 2024; methods 6): after a block is quantised, the gains and
// biases of its norms are trained so that its outputs have the float block's statistics channel by
// channel.
#pragma once

#include "halftone/compress/settings.h"
#include "halftone/nn/decoder.h"

namespace halftone {

struct NormTweakReport {
  double before = 0, after = 0;  // mean loss on held-out sequences
  bool kept = false;             // the guard keeps new norms only where that loss fell
};

// Trains all norms of block `index`, whose linears are frozen. `inputs`: what the quantised
// blocks before it give; `targets`: the float block's outputs on the same inputs; both (N L x C),
// N sequences. The last eighth (at least one) of the sequences is held out for the guard.
// Adam (0.9, 0.999, 1e-8), one sequence a step.
NormTweakReport tweak_norms(Decoder& model, size_t index, const Tensor& inputs,
                            const Tensor& targets, int64_t sequences,
                            const NormTweakSettings& settings);

}  // namespace halftone
