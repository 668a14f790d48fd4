// How likely a model holds each choice of a task.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "halftone/base/ranks.h"
#include "halftone/eval/tasks.h"
#include "halftone/nn/decoder.h"
#include "halftone/text/tokenizer.h"

namespace halftone {

// A continuation's tokens, predicted from position `first` of a sequence on.
struct TaskTarget {
  size_t document = 0, choice = 0;
  int64_t first = 0;
  std::vector<int32_t> next;
};

// What the model reads, and the continuations that it ends in: several where only their last
// tokens differ.
struct TaskSequence {
  std::vector<int32_t> ids;
  std::vector<TaskTarget> targets;
};

struct TaskTokens {
  std::vector<TaskSequence> sequences;
  std::vector<size_t> choices;  // of each document
};

// As the harness encodes them: white space at the end of the context goes to the continuation;
// context + continuation is encoded as one text, of which the tokens behind as many as the context
// has alone are the continuation's. `bos`, where there is one, stands in front of both; a context
// without tokens has the end token in front. The model reads all but the last token, of longer
// ones the last `most` (the model's context). Throws Error(format) naming task, document and choice
// where a continuation has no tokens, or more than that.
TaskTokens task_tokens(const TaskDocuments& task, const Tokenizer& tokenizer,
                       std::optional<int32_t> bos, int64_t most);

struct ChoiceScore {
  double log_probability = 0;  // sum over the continuation's tokens, nats
  bool greedy = true;          // each of them is the likeliest in its place
};
using TaskScores = std::vector<std::vector<ChoiceScore>>;  // of each document, its choices

// Sequences are read in batches of about 2048 tokens, longest first, those of a batch padded behind
// to one length. Logits in F32; a broken model's scores may be NaN. `progress(sequences done, of)`
// may be empty. Several ranks, which all call, share the batches out, to the same bits on each.
using TaskProgress = std::function<void(int64_t, int64_t)>;
TaskScores score_task(Decoder& model, const TaskTokens& tokens, const TaskProgress& progress = {},
                      const Ranks& ranks = {});

}  // namespace halftone
