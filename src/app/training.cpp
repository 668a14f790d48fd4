#include "halftone/app/training.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>

#include "halftone/app/console.h"
#include "halftone/app/interrupt.h"
#include "halftone/app/progress.h"
#include "halftone/base/error.h"
#include "halftone/eval/perplexity.h"
#include "halftone/io/json_numbers.h"
#include "halftone/tensor/memory.h"
#include "halftone/train/trainer.h"

namespace halftone {
namespace {

CheckpointContent checkpoint_content(const Trainer& trainer, LoadedModel& student,
                                     const RunIdentity& identity) {
  CheckpointContent content{.tensors = trainer.tensors(), .meta = identity_meta(identity)};
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

// Puts the trainer where the newest whole checkpoint is; leaves it at the start where there is
// none.
void restore_newest(Trainer& trainer, const RunDirectory& directory, const RunIdentity& identity,
                    const RunOptions& options, int64_t max_steps) {
  const auto content = directory.newest_content();
  if (!content) {
    say("no whole checkpoint: starting from step 0\n");
    return;
  }
  check_identity(*content, identity, options.allow_inexact);
  TrainerState state;
  state.step = meta_number(*content, "step");
  state.tokens = meta_number(*content, "tokens");
  state.cursor.epoch = meta_number(*content, "epoch");
  state.cursor.position = meta_number(*content, "position");
  if (state.step > max_steps)
    throw_error(ErrorKind::recipe,
                "train.max_steps: found {}, but the run is at step {} already, at least as many "
                "expected",
                max_steps, state.step);
  std::istringstream skipped(content->meta.at("skipped"));
  for (int64_t step; skipped >> step;) state.skipped.push_back(step);
  trainer.restore(content->tensors, state);
}

std::string log_line(const StepReport& r) {
  const double rate =
      static_cast<double>(r.tokens) / static_cast<double>(std::max<int64_t>(r.step, 1)) / r.seconds;
  nlohmann::ordered_json line{{"step", r.step},
                              {"tokens", r.tokens},
                              {"loss", r.loss.total},
                              {"kl", r.loss.kl},
                              {"hidden", r.loss.hidden},
                              {"labels", r.loss.labels},
                              {"learning_rate", r.learning_rate},
                              {"grad_norm", r.grad_norm},
                              {"sign_flip_rate", r.sign_flip_rate},
                              {"tokens_per_second", rate},
                              {"rss_bytes", rss_bytes()}};
  if (r.skipped) line["skipped"] = true;
  return json_text(line);
}

std::string eval_line(int64_t step, const Evaluation& evaluation) {
  return json_text({{"step", step}, {"eval_perplexity", evaluation.perplexity}});
}

}  // namespace

TrainingResult train(const Recipe& recipe, const RunOptions& options, const RunDirectory& directory,
                     LoadedModel& student, Decoder* teacher, const LogitCache* cache,
                     const TokenSequences& sequences, const RunIdentity& identity,
                     const HeldOutText* held_out) {
  const TrainSettings& settings = recipe.train;
  const int64_t max_steps = planned_steps(settings, sequences.count());
  Batches batches(sequences, settings.per_device_train_batch_size,
                  static_cast<uint64_t>(recipe.run.seed));
  Trainer trainer(student.decoder, teacher, batches, recipe.loss, settings, max_steps, cache);
  if (options.resume) restore_newest(trainer, directory, identity, options, max_steps);
  directory.rewind(trainer.state().step, settings.save_total_limit);

  TrainingResult result;
  std::vector<double> step_seconds;
  Progress progress("train", max_steps, options.quiet, trainer.state().step);
  const std::chrono::duration<double> save_interval(60 * settings.save_minutes);
  auto saved = std::chrono::steady_clock::now();
  const auto save_due = [&](int64_t step) {
    return (settings.save_steps > 0 && step % settings.save_steps == 0) ||
           (settings.save_minutes > 0 && std::chrono::steady_clock::now() - saved >= save_interval);
  };
  const auto save = [&] {
    trainer.require_finite();
    directory.flush_log();
    write_checkpoint_file(directory.checkpoint_file(trainer.state().step),
                          checkpoint_content(trainer, student, identity));
    directory.remove_old_checkpoints(trainer.state().step, settings.save_total_limit);
    saved = std::chrono::steady_clock::now();
  };

  while (!trainer.done() && !result.interrupted) {
    const StepReport report = trainer.step();
    step_seconds.push_back(report.seconds);
    result.seconds += report.seconds;
    const double rate = static_cast<double>(trainer.state().tokens) /
                        static_cast<double>(report.step) / report.seconds;
    progress.update(report.step,
                    fmt::format("loss {:.4f}  {:.0f} tokens/s", report.loss.total, rate));
    if (report.step % settings.logging_steps == 0 || report.skipped || trainer.done())
      directory.append_log(log_line(report));
    if (held_out && settings.eval_steps > 0 && report.step % settings.eval_steps == 0)
      directory.append_log(eval_line(
          report.step, evaluate(student.decoder, nullptr, held_out->text, held_out->settings)));
    result.interrupted = interrupted() && !trainer.done();
    if (result.interrupted || trainer.done() || save_due(report.step)) save();
  }
  progress.finish();

  result.tokens = trainer.state().tokens;
  if (!step_seconds.empty()) {
    std::nth_element(step_seconds.begin(), step_seconds.begin() + step_seconds.size() / 2,
                     step_seconds.end());
    result.tokens_per_second = static_cast<double>(result.tokens) /
                               static_cast<double>(trainer.state().step) /
                               step_seconds[step_seconds.size() / 2];
  }
  return result;
}

}  // namespace halftone
