// The training stage of a run, with its checkpoints and its log.
#pragma once

#include <functional>
#include <optional>

#include "halftone/model/load.h"
#include "halftone/model/run_context.h"
#include "halftone/train/trainer.h"

namespace halftone {

struct TrainingResult {
  bool interrupted = false;
  int64_t tokens = 0;
  double seconds = 0;                 // of this process's steps
  double tokens_per_second = 0;       // median step
  std::optional<TraceFigures> trace;  // of the steps that were traced
};

// Where a checkpoint's training stands. Throws Error(checkpoint) naming the meta entry that is
// missing or no number.
TrainerState training_state(const CheckpointContent& content);

// Puts a trainer where a checkpoint's meta entries and tensors say. Throws Error(checkpoint), and
// Error(recipe) where it has done more than max_steps already.
void restore(Trainer& trainer, const CheckpointContent& content, int64_t max_steps);

// Trains `student`, which is the trainer's, up to the trainer's last step or until run.stop().
// `held_out_perplexity`, which may be empty, is logged every eval_steps. `save_start`: there is a
// checkpoint before the first step too, of a start that took long. The trainer's trace is written
// when its steps are over.
TrainingResult run_training(const RunContext& run, Trainer& trainer, LoadedModel& student,
                            const TrainSettings& settings,
                            const std::function<double()>& held_out_perplexity,
                            bool save_start = false);

}  // namespace halftone
