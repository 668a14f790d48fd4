// Hessians of the inputs of a block's linears.
#pragma once

#include <map>
#include <vector>

#include "halftone/compress/calibration.h"

namespace halftone {

// Linears with the same input.
using InputGroup = std::vector<SlotRole>;

using InputHessians = std::map<SlotRole, Tensor>;  // of linears: that of their input, F64

// In the order of the block.
std::vector<InputGroup> input_groups(const BlockSpec& spec);

// Collective. Of each linear of `groups` that is this rank's by `owners` the Hessian of its input,
// and the block's outputs with the weights as they are.
InputHessians record_hessians(Decoder& model, size_t index, const Calibration& calibration,
                              const std::vector<InputGroup>& groups,
                              const std::map<SlotRole, int>& owners, Tensor& outputs);

// The same of all linears, for calibrations that no other rank shares.
InputHessians record_hessians(Decoder& model, size_t index, const Calibration& calibration,
                              Tensor& outputs);

}  // namespace halftone
