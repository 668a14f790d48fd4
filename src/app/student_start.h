// The student of a run as it is before the first step.
#pragma once

#include <vector>

#include "app/inputs.h"
#include "app/recipe.h"
#include "app/run.h"
#include "halftone/io/run_directory.h"
#include "halftone/model/load.h"
#include "halftone/train/warm_start.h"

namespace halftone {

// Of a method with a teacher its weights in F32, of onebit as SVID starts them; without one random
// weights.
LoadedModel start_student(const Recipe& recipe, const ModelConfig& config,
                          const LoadedModel* teacher);

// A student of onebit that starts on calibration windows (calibrates()), on the run's device one
// block at a time. `blocks`: what those learnt that warm_start trains; the log has a line for each.
// Each of several ranks makes the whole of it. Interrupted, it throws, and leaves nothing behind:
// another sitting makes the same again.
LoadedModel start_on_windows(const Recipe& recipe, const RunOptions& options,
                             const RunDirectory& directory, RunInputs& inputs,
                             const LoadedModel& teacher, std::vector<WarmStartedBlock>& blocks);

}  // namespace halftone
