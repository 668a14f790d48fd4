// The training stage of a run, with its checkpoints and its log.
#pragma once

#include "halftone/app/identity.h"
#include "halftone/app/recipe.h"
#include "halftone/app/run.h"
#include "halftone/app/run_directory.h"
#include "halftone/app/text_tokens.h"
#include "halftone/model/load.h"
#include "halftone/text/token_stream.h"
#include "halftone/train/logit_cache.h"

namespace halftone {

struct TrainingResult {
  bool interrupted = false;
  int64_t tokens = 0;
  double seconds = 0;            // of this process's steps
  double tokens_per_second = 0;  // median step
};

// Trains `student` in place up to the recipe's last step, or until a signal. With `held_out`, its
// perplexity is logged every eval_steps (of the latent weights as they are, not of a packed file).
// With a cache of the teacher's logits the teacher is null.
TrainingResult train(const Recipe& recipe, const RunOptions& options, const RunDirectory& directory,
                     LoadedModel& student, Decoder* teacher, const LogitCache* cache,
                     const TokenSequences& sequences, const RunIdentity& identity,
                     const HeldOutText* held_out);

}  // namespace halftone
