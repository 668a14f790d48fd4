// The loop of a training run: step, log, evaluate, save.
#include "halftone/train/training.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/io/json_numbers.h"
#include "halftone/io/trace_file.h"
#include "halftone/tensor/memory.h"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;

CheckpointContent checkpoint_content(const RunContext& run, const Trainer& trainer,
                                     LoadedModel& student) {
  CheckpointContent content{.tensors = trainer.tensors(), .meta = run.identity};
  for (auto& [name, tensor] : content.tensors) tensor = tensor.to(Device::cpu);
  add_model_meta(content, student.decoder, student.config);
  const TrainerState& state = trainer.state();
  content.meta["kind"] = "training";
  content.meta["step"] = std::to_string(state.step);
  content.meta["tokens"] = std::to_string(state.tokens);
  content.meta["epoch"] = std::to_string(state.cursor.epoch);
  content.meta["position"] = std::to_string(state.cursor.position);
  content.meta["skipped"] = fmt::format("{}", fmt::join(state.skipped, " "));
  return content;
}

// Checkpoints by steps and by time.
class Saves {
 public:
  Saves(const RunContext& run, const Trainer& trainer, LoadedModel& student,
        const TrainSettings& settings)
      : run_(run), trainer_(trainer), student_(student), settings_(settings) {}

  bool due() const {  // asked of the first rank
    const std::chrono::duration<double> interval(60 * settings_.save_minutes);
    return (settings_.save_steps > 0 && trainer_.state().step % settings_.save_steps == 0) ||
           (settings_.save_minutes > 0 && Clock::now() - last_ >= interval);
  }

  void save() {
    trainer_.require_finite();
    const int64_t step = trainer_.state().step;
    const CheckpointContent content = checkpoint_content(run_, trainer_, student_);
    run_.ranks.first_does([&] {
      run_.directory.flush_log();
      write_checkpoint_file(run_.directory.checkpoint_file(step), content);
      run_.directory.remove_old_checkpoints(step, settings_.save_total_limit);
    });
    last_ = Clock::now();
  }

 private:
  const RunContext& run_;
  const Trainer& trainer_;
  LoadedModel& student_;
  const TrainSettings& settings_;
  Clock::time_point last_ = Clock::now();
};

// Whatever ends a training, a failure too, leaves nothing of its trainer under way.
class Settled {
 public:
  explicit Settled(Trainer& trainer) : trainer_(trainer) {}
  ~Settled() {
    try {
      trainer_.settle();
    } catch (const Error&) {  // of ranks that have ended, which the failure is about
    }
  }
  Settled(const Settled&) = delete;
  Settled& operator=(const Settled&) = delete;

 private:
  Trainer& trainer_;
};

// Tokens a second of a run whose steps take so many seconds each.
double rate(int64_t tokens, int64_t steps, double seconds) {
  return static_cast<double>(tokens) / static_cast<double>(steps) / seconds;
}

std::string log_line(const StepReport& r) {
  nlohmann::ordered_json line{{"step", r.step},
                              {"tokens", r.tokens},
                              {"loss", r.loss.total},
                              {"kl", r.loss.kl},
                              {"hidden", r.loss.hidden},
                              {"labels", r.loss.labels},
                              {"learning_rate", r.learning_rate},
                              {"grad_norm", r.grad_norm},
                              {"sign_flip_rate", r.sign_flip_rate},
                              {"tokens_per_second", rate(r.tokens, r.step, r.seconds)},
                              {"rss_bytes", rss_bytes()}};
  if (r.skipped) line["skipped"] = true;
  return json_text(line);
}

std::string eval_line(int64_t step, double perplexity) {
  return json_text({{"step", step}, {"eval_perplexity", perplexity}});
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

TrainerState training_state(const CheckpointContent& content) {
  TrainerState state;
  state.step = meta_number(content, "step");
  state.tokens = meta_number(content, "tokens");
  state.cursor.epoch = meta_number(content, "epoch");
  state.cursor.position = meta_number(content, "position");
  std::istringstream skipped(meta_text(content, "skipped"));
  for (int64_t step; skipped >> step;) state.skipped.push_back(step);
  return state;
}

void restore(Trainer& trainer, const CheckpointContent& content, int64_t max_steps) {
  const TrainerState state = training_state(content);
  if (state.step > max_steps)
    throw_error(ErrorKind::recipe,
                "train.max_steps: found {}, but the run is at step {} already, at least as many "
                "expected",
                max_steps, state.step);
  trainer.restore(content.tensors, state);
}

TrainingResult run_training(const RunContext& run, Trainer& trainer, LoadedModel& student,
                            const TrainSettings& settings,
                            const std::function<double()>& held_out_perplexity, bool save_start) {
  run.ranks.first_does(
      [&] { run.directory.rewind(trainer.state().step, settings.save_total_limit); });
  const Settled settled(trainer);
  TrainingResult result;
  std::vector<double> seconds;
  Saves saves(run, trainer, student, settings);
  const auto keep_trace = [&] {
    const std::vector<TraceSpan> spans = trainer.trace().take();
    if (!spans.empty()) result.trace = write_trace(run.directory.trace_file(), spans, run.ranks);
  };
  if (save_start && trainer.state().step == 0) saves.save();
  while (!trainer.done() && !result.interrupted) {
    const StepReport report = trainer.step();
    seconds.push_back(report.seconds);
    run.progress(report.step, fmt::format("loss {:.4f}  {:.0f} tokens/s", report.loss.total,
                                          rate(report.tokens, report.step, report.seconds)));
    if (report.step % settings.logging_steps == 0 || report.skipped || trainer.done())
      run.ranks.first_does([&] { run.directory.append_log(log_line(report)); });
    if (held_out_perplexity && settings.eval_steps > 0 && report.step % settings.eval_steps == 0) {
      trainer.settle();
      const std::string line = eval_line(report.step, held_out_perplexity());
      run.ranks.first_does([&] { run.directory.append_log(line); });
    }
    result.interrupted = run.ranks.any(run.stop()) && !trainer.done();
    if (result.interrupted || trainer.done() || run.ranks.any(run.ranks.first() && saves.due())) {
      trainer.settle();
      saves.save();
    }
    if (trainer.trace().complete()) {
      trainer.settle();
      keep_trace();
    }
  }
  keep_trace();  // of fewer steps
  result.tokens = trainer.state().tokens;
  result.seconds = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  if (!seconds.empty())
    result.tokens_per_second = rate(result.tokens, trainer.state().step, median(seconds));
  return result;
}

}  // namespace halftone
