// result.json: the figures of a run, in one place for everything that prints or compares them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "halftone/compress/ptq.h"
#include "halftone/eval/footprint.h"
#include "halftone/eval/perplexity.h"
#include "halftone/eval/task_results.h"
#include "halftone/tensor/trace.h"
#include "halftone/text/mixing.h"
#include "halftone/train/warm_start.h"

namespace halftone {

struct RunSeconds {
  double import = 0, calibrate = 0, quantise = 0, train = 0, eval = 0, total = 0;
};

struct TextResult {
  Evaluation eval;
  TextSettings settings;  // bos resolved
  int64_t tokens = 0;
  std::string sha256;  // of the file
};

// Of one model, with its teacher where there is one.
struct EvalResults {
  std::vector<TextResult> texts;
  std::vector<TaskResult> tasks;
  bool task_bos = false;  // in front of each context
};

// What a run was trained on.
struct DataResult {
  std::vector<SourceFigures> sources;
  bool mixed = false;  // by weight, else one after another
  int64_t tokens = 0;  // of one epoch, generated ones included
  int64_t generated_tokens = 0;
  std::string sha256;  // of the tokens and the sequence length
  bool cross_documents = true;
  double held_out = 0;  // share
  int64_t held_out_documents = 0, held_out_tokens = 0;
};

struct RunResult {
  std::string name, method, recipe_sha256;
  int64_t seed = 0;
  std::string teacher_path, teacher_sha256;  // empty: no teacher (pretrain)
  int64_t teacher_parameters = 0;
  Footprint student;
  int64_t model_bytes = 0;
  int64_t teacher_fp16_bytes = 0;
  EvalResults eval;
  std::optional<DataResult> data;  // of trained methods
  int64_t tokens_seen = 0;
  std::vector<QuantisedLinear> layers;  // of post-training methods
  std::vector<WarmStartedBlock> warm_start;
  RunSeconds seconds;
  int ranks = 1;
  double tokens_per_second = 0;
  std::optional<TraceFigures> trace;  // of training, if asked for
};

// One object with all of it, the machine and the version, indented. Numbers that are not finite are
// spelt as io/json_numbers.h says.
std::string result_json(const RunResult& result);

// The figures of one evaluation, for `eval --json`: those of the first text as they are, then
// "texts" and "tasks" as in result.json.
std::string evaluation_json(const EvalResults& results);

// One object a line for each document of a task: what was scored, and what was chosen.
std::string task_samples(const TaskDocuments& task, const TaskScores& scores);

}  // namespace halftone
