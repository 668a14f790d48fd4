// The trainer: one loop for distillation and for pretraining.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "halftone/base/ranks.h"
#include "halftone/nn/decoder.h"
#include "halftone/text/batches.h"
#include "halftone/train/adamw.h"
#include "halftone/train/block_shards.h"
#include "halftone/train/distillation.h"
#include "halftone/train/gradient_sum.h"
#include "halftone/train/logit_cache.h"
#include "halftone/train/settings.h"

namespace halftone {

// One optimiser step as it is logged.
struct StepReport {
  int64_t step = 0;    // steps done, this one included
  int64_t tokens = 0;  // seen so far
  LossTerms loss;      // mean over the micro-batches
  double learning_rate = 0;
  double grad_norm = 0;       // before clipping
  double sign_flip_rate = 0;  // share of latent weights whose sign changed
  double seconds = 0;         // of this step
  bool skipped = false;       // the loss or the gradient was not finite; no update was made
};

// All that the next step depends on besides the parameters and moments.
struct TrainerState {
  int64_t step = 0;
  int64_t tokens = 0;
  Cursor cursor;
  std::deque<int64_t> skipped;  // steps skipped among the last kSkipWindow
};

inline constexpr int64_t kSkipWindow = 1000;
inline constexpr int64_t kMostSkippedInARow = 5;
inline constexpr int64_t kMostSkippedInWindow = 10;

class Trainer {
 public:
  // `teacher` may be null: labels only, or what the cache says of the teacher. References and
  // pointers must outlive the trainer. Of several ranks each takes its share of the micro-batches
  // (gradient_sum.h), gradient_accumulation_steps a step, and with shard_parameters its part of the
  // blocks (block_shards.h); step(), tensors(), require_finite() and finish() are collective then.
  Trainer(Decoder& student, Decoder* teacher, Batches& batches, const LossSettings& loss,
          const TrainSettings& settings, int64_t max_steps, const LogitCache* cache = nullptr,
          Ranks ranks = {}, Trace trace = {});

  bool done() const { return state_.step >= max_steps_; }
  // One optimiser step. Throws Error(numerical) after too many steps that were not finite. Of
  // several ranks the student's values may still be under way, which the next step waits for block
  // by block; whoever else reads the student, or lets the trainer go, settles first.
  StepReport step();
  void settle() { gradients_.await_values(); }

  const TrainerState& state() const { return state_; }
  const Trace& trace() const { return trace_; }
  // Of a settled trainer; names as in a checkpoint: model/<param>, optimizer/m/<param>,
  // optimizer/v/<param>. Shared storage. Moments, and parameters in parts, are on the first rank
  // alone.
  std::map<std::string, Tensor> tensors() const;
  // Throws Error(numerical), naming the tensor, when one holds a number that is not finite: such a
  // state must not become a checkpoint.
  void require_finite() const;
  // Copies numbers in; throws Error(checkpoint) naming what is missing, extra or of another shape.
  void restore(const std::map<std::string, Tensor>& tensors, const TrainerState& state);
  // The last call. Where blocks are in parts, the first rank gets those of the student whole, and
  // the others lose theirs; the teacher's are gone.
  void finish();
  bool in_parts() const { return student_shards_.has_value(); }

 private:
  int64_t micro_batches() const;  // a step, of all ranks
  std::map<std::string, Tensor> whole_parameters() const;
  BatchLoss accumulate();
  BatchLoss compute(Tape& tape, const std::vector<int32_t>& ids, const TopLogProbs& teacher_topk);
  LossTerms mean(const std::vector<BatchLoss>& losses) const;
  void update(StepReport& report);
  double flip_rate(const Tensor& flips) const;
  void count_skip();

  Decoder& student_;
  Decoder* teacher_;
  Batches& batches_;
  LossSettings loss_;
  TrainSettings settings_;
  int64_t max_steps_;
  const LogitCache* cache_;
  Ranks ranks_;
  Trace trace_;
  std::vector<Param*> params_;
  std::vector<const Param*> ends_;  // of what is in front of the blocks, then of each block
  GradientSum gradients_;
  std::optional<BlockShards> student_shards_, teacher_shards_;
  std::vector<Moments> moments_;  // of its shards
  TrainerState state_;
};

// Steps of a run: max_steps, or num_train_epochs over `sequences` sequences, rounded up.
int64_t planned_steps(const TrainSettings& settings, int64_t sequences, int ranks = 1);

}  // namespace halftone
