// The stage of a run that applies a post-training method, with its checkpoints and its log.
#pragma once

#include <optional>
#include <vector>

#include "halftone/compress/ptq.h"
#include "halftone/model/load.h"
#include "halftone/model/run_context.h"

namespace halftone {

struct QuantisingResult {
  bool interrupted = false;
  std::vector<QuantisedLinear> layers;
  double calibrate_seconds = 0, quantise_seconds = 0;  // of this process's blocks
};

// Quantises the blocks of `student` in place, one after another, until done or run.stop(). Each
// finished block is saved with the calibration activations that the next one starts from, and
// logged: block, relative errors, norm tweaking's loss before and after, seconds. `from`: the
// checkpoint of an earlier sitting, whose blocks are taken over. Throws Error(checkpoint).
QuantisingResult run_quantising(const RunContext& run, LoadedModel& student,
                                const PtqMethod& method, const CompressSettings& settings,
                                Calibration calibration, std::optional<CheckpointContent> from);

}  // namespace halftone
