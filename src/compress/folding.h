// Where the input scale g of a block's linears can go: into what makes their input.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "halftone/nn/decoder.h"
#include "halftone/quant/svid.h"

namespace halftone {

// Linears that read one input, and the norm or linear that makes it: g, multiplied into its gain or
// the scales of its rows, and into its bias, leaves what the block computes as it was.
struct Fold {
  std::vector<SlotRole> linears;
  SlotRole into;
  int64_t repeats = 1;  // neighbouring heads of the input that are one head of `into`
};

// The folds of a block, in the order in which they are to be made. Linears whose input something
// else reads too, or a norm without a gain makes, are in none of them: q, k, v and up of OPT with
// its norms behind the sums. Throws Error(recipe) where g of `down` cannot pass the activation:
// without a gate only ReLU lets factors through.
std::vector<Fold> folds_of(const BlockSpec& block);

// The one g of a fold's linears by SVID of their weights W, a number for each of what `into` makes.
Tensor tied_in_scale(const Fold& fold, const std::vector<Tensor>& weights, int64_t head_dim,
                     SvidMethod method);

using ScaledLinears = std::map<SlotRole, std::unique_ptr<GroupScaledLinear>>;

// Multiplies k g into what the fold names, a norm of the block or one of `linears`, and 1 / k into
// the scales of its linears. k makes their root mean square and that of what takes g the same, so
// that neither is small beside the optimiser's steps.
void fold(const Fold& fold, const Tensor& g, Block& block, ScaledLinears& linears);

}  // namespace halftone
