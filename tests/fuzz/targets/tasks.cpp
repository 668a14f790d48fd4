// Documents of a zero-shot task, read as each kind of task.
#include "halftone/eval/task_results.h"
#include "target.h"

namespace halftone::fuzz {

HT_FUZZ_TARGET(tasks) {
  for (const Task& task : zero_shot_tasks()) {
    scratch().write(fmt::format("{}.jsonl", task.name), input);
    accepted([&] {
      const TaskDocuments read = read_task(task, scratch().path(), 3);
      TaskScores scores;
      for (const TaskDocument& document : read.documents)
        scores.emplace_back(document.requests.size());
      task_figures(read, scores);
      chance(read);
    });
  }
}

}  // namespace halftone::fuzz
