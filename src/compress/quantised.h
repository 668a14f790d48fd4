// Linears of a block that ranks have quantised, each some of them, on their way to the others.
#pragma once

#include <map>
#include <memory>

#include "halftone/base/ranks.h"
#include "halftone/nn/decoder.h"

namespace halftone {

struct Quantised {
  std::unique_ptr<LowBitLinear> linear;
  double relative_error = 0;
};

// Collective. `own`: what this rank has made of the linears of `block` that are its own by
// `owners`. Returns those of all ranks.
std::map<SlotRole, Quantised> of_all_ranks(std::map<SlotRole, Quantised> own,
                                           const std::map<SlotRole, int>& owners,
                                           const Block& block, const Ranks& ranks);

// Collective. Gives every rank the first one's norms.
void take_norms_of_first(Block& block, const Ranks& ranks);

}  // namespace halftone
