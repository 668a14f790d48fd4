// What a model is measured on, read for it, and its measuring: of `eval` and of runs.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "app/text_tokens.h"
#include "halftone/eval/result.h"
#include "halftone/eval/task_scores.h"

namespace halftone {

struct TaskInput {
  TaskDocuments documents;
  TaskTokens tokens;
};

struct EvalInputs {
  std::vector<HeldOutText> texts;
  std::vector<TaskInput> tasks;
  bool task_bos = false;  // in front of each context, where the tokenizer has one

  bool empty() const { return texts.empty() && tasks.empty(); }
};

// Throws Error as read_task and task_tokens do, and for ids without a row.
void add_task(const std::string& name, const EvalSettings& settings, const Tokenizer& tokenizer,
              const ModelConfig& config, EvalInputs& inputs);

// What tells the files apart: a key for each, and its sha256.
std::map<std::string, std::string> digests(const EvalInputs& inputs);

// A model that is only evaluated from here on: its linears as they are multiplied there, in F32.
void move_to_evaluate(Decoder& model, Device device);

// With `teacher`, agreement with it on the texts, and its figures of the tasks. `samples` gets the
// lines of task_samples. `go_on()` is asked between windows and batches, and may throw; several
// ranks, which share the work out, ask it together.
struct EvalWatch {
  bool quiet = false;
  std::function<void()> go_on;
  std::string* samples = nullptr;
  Ranks ranks;
};
EvalResults evaluate_all(Decoder& model, Decoder* teacher, const EvalInputs& inputs,
                         const EvalWatch& watch);

// A table of the tasks and their averages, each line behind `indent`; nothing without tasks.
void print_tasks(const std::vector<TaskResult>& tasks, const std::string& indent);

}  // namespace halftone
