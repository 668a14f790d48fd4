// The losses of one micro-batch: OneBit's distillation (arXiv 2402.11295, section 3.3;
// methods 7.4), or plain next-token training where there is no teacher.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/nn/decoder.h"
#include "halftone/ops/top_log_probs.h"
#include "halftone/tensor/trace.h"
#include "halftone/train/settings.h"

namespace halftone {

struct LossTerms {
  double total = 0;
  double kl = 0;      // mean a token, times temperature^2
  double hidden = 0;  // summed over the block inputs
  double labels = 0;  // mean cross entropy a predicted token
};

struct BatchLoss {
  Var loss;  // one element, to go backward from
  Tensor kl, labels;
  Tensor hidden;  // undefined without such a loss

  // Waits for the numbers.
  LossTerms terms() const;
};

struct BatchOptions {
  // The teacher's likeliest ids of every token, in place of the teacher and without a loss on
  // hidden states; the teacher is null then.
  const TopLogProbs* teacher_topk = nullptr;
  // Keep of a student's block its input alone, see autograd/recompute.h.
  bool gradient_checkpointing = false;
  Trace trace = {};  // of the phases teacher, forward and loss; the last goes on
};

// loss = kl * KL(teacher || student) + hidden * sum_i distance(t_i, s_i) + labels * CE, where t_i
// and s_i are the inputs of block i (i = 0: the embeddings). The two models go layer by layer side
// by side, so that one hidden state of the teacher is held at a time. teacher == nullptr: labels
// only. ids: `batch` sequences of equal length.
BatchLoss batch_loss(Tape& tape, Decoder& student, Decoder* teacher,
                     const std::vector<int32_t>& ids, int64_t batch, const LossSettings& settings,
                     const BatchOptions& options = {});

// The error of hidden states s (tokens x C) against a teacher's t.
Var hidden_error(const Var& s, const Tensor& t, HiddenKind kind);

// The token behind each token; kIgnoredTarget at the end of every sequence.
std::vector<int32_t> next_tokens(const std::vector<int32_t>& ids, int64_t batch);

}  // namespace halftone
