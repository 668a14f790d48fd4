// Calibration activations, and what a block makes of them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "halftone/base/ranks.h"
#include "halftone/nn/decoder.h"

namespace halftone {

// The inputs of the next block, N sequences of L tokens. They are worked on in parts of 2048 tokens
// at most (of 16384 on a GPU), or of one sequence. The parts go round the ranks, each of which
// holds its own. Blocks run, and the products of Hessians are made, on the device where they lie.
struct Calibration {
  Tensor inputs;                      // of this rank's parts, in their order (tokens x C, F32)
  int64_t sequences = 0, length = 0;  // N and L, of all ranks
  Ranks ranks = {};

  // This rank's rows of a tensor that has those of all ranks (N L x C), where `inputs` lie.
  Tensor own(const Tensor& whole) const;
  // Collective. The rows of all, each rank giving its own; on the CPU, of the first rank alone.
  Tensor whole(const Tensor& own) const;
};

// The embeddings of `tokens`, N sequences one after another, of a model on the CPU.
Calibration start_calibration(Decoder& model, const std::vector<int32_t>& tokens, int64_t sequences,
                              Device device = Device::cpu, const Ranks& ranks = {});

// The outputs of a block over this rank's sequences. `after_part` is called equally often on all
// ranks: after each part, and where a rank has one less than others.
Tensor run_block(Decoder& model, size_t index, const Calibration& calibration,
                 const std::function<void()>& after_part = {});

}  // namespace halftone
