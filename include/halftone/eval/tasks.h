// Zero-shot tasks of multiple choice, in the form of EleutherAI's lm-evaluation-harness 0.4: what a
// model continues, and which continuation is right (docs/evaluation.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

struct Task {
  std::string_view name;  // the harness's, and the stem of its file
  bool normalised;        // acc_norm counts, beside acc
  bool greedy;            // LAMBADA: right is what greedy decoding gives; perplexity counts too
  bool onebit;            // one of the six tasks of OneBit's table
};

const std::vector<Task>& zero_shot_tasks();
std::vector<std::string_view> task_names();
// Throws std::invalid_argument for another name.
const Task& task_named(std::string_view name);

// The two texts whose log-likelihood is asked for.
struct TaskRequest {
  std::string context, continuation;
};

struct TaskDocument {
  std::vector<TaskRequest> requests;  // one a choice
  size_t gold = 0;                    // the right one
};

struct TaskDocuments {
  const Task* task = nullptr;
  std::vector<TaskDocument> documents;
  int64_t in_file = 0;  // documents of the file, of which these are the first
  std::string sha256;   // of the file's text, unpacked
};

// The first `limit` documents (0: all) of directory/<name>.jsonl or .jsonl.gz: one JSON object a
// line,
//   {"context": text, "choices": [text, ...], "gold": index of a choice}
// or {"contexts": [text, ...], "choices": [text], "gold": index of a context}; further keys are not
// read. Every line is checked, also those beyond the limit. Throws Error(format) naming file, line
// and field.
TaskDocuments read_task(const Task& task, const std::string& directory, int64_t limit);

}  // namespace halftone
