// A warm start of a 1-bit student, block by block: each learns what the teacher's gives, from what
// the blocks before it give by then (methods 7.10; as EfficientQAT's first phase, arXiv
// 2407.11062, trains blocks).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "halftone/compress/calibration.h"
#include "halftone/io/checkpoint_file.h"
#include "halftone/nn/decoder.h"
#include "halftone/train/settings.h"

namespace halftone {

// Of the block's outputs on all windows, as LossSettings::hidden_kind measures it.
struct WarmStartedBlock {
  double before = 0, after = 0;
  bool kept = false;  // what was learnt, which is where the error fell; else the block is as it was
  double seconds = 0;
};

struct WarmStart {
  WarmStartSettings settings;
  HiddenKind error = HiddenKind::normalised;
  TrainSettings train;  // of it the batch, the schedule without its warm-up, AdamW, the clipping
  uint64_t seed = 0;    // of the order of the windows
  std::function<void()> go_on = [] {};  // called before each step; it may throw
};

// Trains all parameters of block `index` of `student` for settings.steps steps of AdamW, each on
// per_device_train_batch_size of the calibration's windows (at most all), so that it gives
// `targets` (tokens x C, F32) from the calibration's inputs, and moves the calibration on to its
// outputs. The targets are the teacher's own hidden states, which the loss of training compares
// with too. Steps whose gradient is not finite change nothing.
//
// Works where the calibration lies, of one rank; the block is on the CPU before and after. It takes
// the block five times over (weights, gradients, moments, and the weights before), and what
// backward keeps of one block for a batch; hidden states are of the student's dtype in steps.
WarmStartedBlock warm_start_block(Decoder& student, size_t index, Calibration& calibration,
                                  const Tensor& targets, const WarmStart& how);

// {"seconds", "blocks": [{"before", "after", "kept", "seconds"}]}: in result.json, and in the meta
// entry "warm_start" of checkpoints, so that it is known after a resume.
std::string warm_start_json(const std::vector<WarmStartedBlock>& blocks);
// Of a checkpoint; none where it has no such entry. Throws Error(checkpoint).
std::vector<WarmStartedBlock> warm_started_blocks(const CheckpointContent& content);

}  // namespace halftone
