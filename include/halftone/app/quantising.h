// The stage of a run that applies a post-training method, with its checkpoints and its log.
#pragma once

#include <vector>

#include "halftone/app/identity.h"
#include "halftone/app/recipe.h"
#include "halftone/app/run.h"
#include "halftone/app/run_directory.h"
#include "halftone/app/text_tokens.h"
#include "halftone/eval/result.h"
#include "halftone/model/load.h"

namespace halftone {

struct QuantisingResult {
  bool interrupted = false;
  std::vector<LayerError> layers;
  double calibrate_seconds = 0, quantise_seconds = 0;  // of this process's blocks
};

// Quantises the blocks of `student` in place, one after another, until done or a signal. Each
// finished block is saved with the calibration activations that the next one starts from, and
// logged: block, relative errors, norm tweaking's loss before and after, seconds.
QuantisingResult quantise_model(const Recipe& recipe, const RunOptions& options,
                                const RunDirectory& directory, LoadedModel& student,
                                const CalibrationText& text, const RunIdentity& identity);

}  // namespace halftone
