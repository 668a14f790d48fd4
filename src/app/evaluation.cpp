#include "app/evaluation.h"

#include "app/console.h"
#include "app/progress.h"
#include "halftone/base/number_text.h"
#include "halftone/model/companions.h"
#include "halftone/nn/packed_linear.h"

namespace halftone {
namespace {

constexpr int64_t kUsualContext = 2048;  // the harness's, of a model that names none

TextResult evaluate_text(Decoder& model, Decoder* teacher, const HeldOutText& held_out,
                         const std::string& what, const EvalWatch& watch) {
  Progress progress(what, evaluation_windows(held_out.text, held_out.settings), watch.quiet);
  const Evaluation eval = evaluate(
      model, teacher, held_out.text, held_out.settings,
      [&](int64_t done, int64_t, double perplexity) {
        if (watch.go_on) watch.go_on();
        progress.update(done, "perplexity " + fixed_text(perplexity, 4));
      },
      watch.ranks);
  progress.finish();
  return {eval, held_out.settings, held_out.tokens(), held_out.sha256};
}

TaskScores score(Decoder& model, const TaskInput& task, const std::string& what,
                 const EvalWatch& watch) {
  Progress progress(what, static_cast<int64_t>(task.tokens.sequences.size()), watch.quiet);
  TaskScores out = score_task(
      model, task.tokens,
      [&](int64_t done, int64_t) {
        if (watch.go_on) watch.go_on();
        progress.update(done, "");
      },
      watch.ranks);
  progress.finish();
  return out;
}

TaskResult evaluate_task(Decoder& model, Decoder* teacher, const TaskInput& task,
                         const EvalWatch& watch) {
  const TaskDocuments& documents = task.documents;
  const std::string name(documents.task->name);
  const TaskScores scores = score(model, task, name, watch);
  if (watch.samples) *watch.samples += task_samples(documents, scores);
  TaskResult out{.task = documents.task,
                 .documents = static_cast<int64_t>(documents.documents.size()),
                 .in_file = documents.in_file,
                 .sha256 = documents.sha256,
                 .chance = chance(documents),
                 .model = task_figures(documents, scores),
                 .teacher = {}};
  if (teacher)
    out.teacher = task_figures(documents, score(*teacher, task, name + " (teacher)", watch));
  return out;
}

std::string per_cent(const std::optional<Estimate>& e) {
  return e ? fmt::format("{} ± {}", fixed_text(100 * e->value, 2),
                         fixed_text(100 * e->standard_error, 2))
           : "-";
}

void print_average(const std::string& indent, const std::string& name,
                   const std::optional<TaskAverage>& average) {
  if (!average) return;
  print("{}{}: {} %, by chance {:.2f}", indent, name, per_cent(average->model),
        100 * average->chance);
  if (average->teacher) print(", teacher {}", per_cent(average->teacher));
  if (const auto share = average->above_chance())
    print("; above chance {} of the teacher's", fixed_text(*share, 4));
  print("\n");
}

}  // namespace

void add_task(const std::string& name, const EvalSettings& settings, const Tokenizer& tokenizer,
              const ModelConfig& config, EvalInputs& inputs) {
  const auto bos = settings.bos == BosPlace::none ? std::nullopt : tokenizer.bos();
  const int64_t most =
      config.max_position_embeddings > 0 ? config.max_position_embeddings : kUsualContext;
  TaskInput task{read_task(task_named(name), settings.tasks_dir, settings.task_limit), {}};
  task.tokens = task_tokens(task.documents, tokenizer, bos, most);
  for (const TaskSequence& sequence : task.tokens.sequences) {
    require_rows(sequence.ids, config, name);
    for (const TaskTarget& target : sequence.targets) require_rows(target.next, config, name);
  }
  inputs.tasks.push_back(std::move(task));
  inputs.task_bos = bos.has_value();
}

std::map<std::string, std::string> digests(const EvalInputs& inputs) {
  std::map<std::string, std::string> out;
  for (const HeldOutText& text : inputs.texts)
    out[fmt::format("eval.text {}: sha256", printable(text.settings.name))] = text.sha256;
  for (const TaskInput& task : inputs.tasks)
    out[fmt::format("eval.tasks {}: sha256", task.documents.task->name)] = task.documents.sha256;
  return out;
}

void move_to_evaluate(Decoder& model, Device device) {
  if (device == Device::cpu) return;
  model.visit_linears([](std::unique_ptr<LinearLike>& linear) {
    bool latent = false;
    linear->visit([&](Param& param) { latent = latent || param.role == ParamRole::latent; });
    // Latent weights and full precision are multiplied on any device.
    if (!latent && !linear->full_precision()) linear = unpacked(*linear);
  });
  model.move_to(device, DType::f32);
}

EvalResults evaluate_all(Decoder& model, Decoder* teacher, const EvalInputs& inputs,
                         const EvalWatch& watch) {
  EvalResults out{.texts = {}, .tasks = {}, .task_bos = inputs.task_bos};
  for (const HeldOutText& text : inputs.texts) {
    const std::string what = inputs.texts.size() > 1 ? "eval " + text.settings.name : "eval";
    out.texts.push_back(evaluate_text(model, teacher, text, what, watch));
  }
  for (const TaskInput& task : inputs.tasks)
    out.tasks.push_back(evaluate_task(model, teacher, task, watch));
  return out;
}

void print_tasks(const std::vector<TaskResult>& tasks, const std::string& indent) {
  if (tasks.empty()) return;
  const bool taught = tasks[0].teacher.has_value();
  print("{}{:<16}{:>14}{:>16}{:>16}{:>9}{}\n", indent, "task", "documents", "acc %", "acc_norm %",
        "chance", taught ? fmt::format("{:>16}", "teacher") : "");
  for (const TaskResult& t : tasks) {
    const std::string documents = t.documents == t.in_file
                                      ? std::to_string(t.documents)
                                      : fmt::format("{} of {}", t.documents, t.in_file);
    print("{}{:<16}{:>14}{:>16}{:>16}{:>9.2f}{}{}\n", indent, t.task->name, documents,
          per_cent(t.model.acc), per_cent(t.model.acc_norm), 100 * t.chance,
          taught ? fmt::format("{:>16}", per_cent(t.teacher->headline())) : "",
          t.model.perplexity ? "  perplexity " + fixed_text(t.model.perplexity->value, 4) : "");
  }
  const std::string rule = " (acc_norm where there is one)";
  if (tasks.size() > 1)
    print_average(indent, fmt::format("average of these {} tasks{}", tasks.size(), rule),
                  average(tasks));
  print_average(indent, "average of the six tasks of the OneBit paper" + rule,
                onebit_average(tasks));
}

}  // namespace halftone
