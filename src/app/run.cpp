#include "app/run.h"

#include <filesystem>
#include <optional>

#include "app/console.h"
#include "app/evaluation.h"
#include "app/identity.h"
#include "app/inputs.h"
#include "app/interrupt.h"
#include "app/many_ranks.h"
#include "app/progress.h"
#include "app/student_start.h"
#include "app/summary.h"
#include "app/teacher_logits.h"
#include "app/text_tokens.h"
#include "base/stopwatch.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/base/threads.h"
#include "halftone/compress/quantising.h"
#include "halftone/eval/result.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/directory_lock.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/run_directory.h"
#include "halftone/model/companions.h"
#include "halftone/model/load.h"
#include "halftone/tensor/device.h"
#include "halftone/tensor/exchange.h"
#include "halftone/tensor/memory.h"
#include "halftone/text/token_file.h"
#include "halftone/train/training.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

// One run from its recipe to its result, a stage a function.
class Run {
 public:
  Run(const Recipe& recipe, const RunOptions& options, RunDirectory directory, RunInputs inputs,
      Stopwatch total)
      : recipe_(recipe),
        options_(options),
        ranks_(options.ranks),
        directory_(std::move(directory)),
        inputs_(std::move(inputs)),
        total_(total) {
    result_.name = recipe.run.name;
    result_.method = method_name(recipe.run);
    result_.recipe_sha256 = recipe_sha256(recipe);
    result_.seed = recipe.run.seed;
    result_.ranks = ranks_.size();
  }

  void import() {
    ranks_.first_does([&] {
      // The run directory is a model by itself, wherever it or its teacher goes.
      write_companions(read_companions(inputs_.teacher.home, inputs_.teacher.config),
                       directory_.path(), !options_.resume);
      keep_held_out();
    });
    if (has_teacher()) import_teacher();
    require_one_input();
  }

  // False when a signal ended it; the state is saved then.
  bool train() {
    const TrainingText text =
        training_text(recipe_, options_, *inputs_.tokenizer, inputs_.training.tokens,
                      has_teacher() ? &teacher_ : nullptr);
    disclose(text);
    std::optional<LogitCache> cache;
    if (recipe_.teacher.cache_top_k > 0) cache = teacher_logits(recipe_, options_, text, teacher_);
    const std::string origin = has_teacher()
                                   ? teacher_.sha256
                                   : sha256_hex(config_json(inputs_.teacher.config, DType::f32));
    const RunIdentity identity{identity_text(recipe_, ranks_.size()), origin,
                               inputs_.tokenizer->hash(), text.sha256,
                               cache ? cache->sha256() : ""};
    std::optional<CheckpointContent> from;
    ranks_.together([&] { from = newest_checkpoint(identity); });
    start(from);
    require_one_start(identity);
    if (cache) release_teacher();
    const TrainSettings& settings = recipe_.train;
    const int64_t steps = planned_steps(settings, text.sequences.count(), ranks_.size());
    const Device device = use_device(recipe_.run.device);
    move_to(device);
    Batches batches(text.sequences, settings.per_device_train_batch_size,
                    static_cast<uint64_t>(recipe_.run.seed));
    Trainer trainer(student_.decoder, has_teacher() && !cache ? &teacher_.decoder : nullptr,
                    batches, recipe_.loss, settings, steps, cache ? &*cache : nullptr, ranks_,
                    Trace(ranks_, device, recipe_.run.trace_steps));
    ranks_.together([&] {
      if (from) restore(trainer, *from, steps);
    });
    from.reset();  // its tensors are in their places
    require_one_checkpoint(trainer.state().step);
    Progress progress("train", steps, options_.quiet, trainer.state().step);
    RunContext run = context(identity, progress);
    if (!result_.warm_start.empty())
      run.identity["warm_start"] = warm_start_json(result_.warm_start);
    const TrainingResult training = run_training(
        run, trainer, student_, settings, held_out_perplexity(), !result_.warm_start.empty());
    progress.finish();
    if (!training.interrupted) trainer.finish();
    if (trainer.in_parts()) release_teacher();
    result_.tokens_seen = training.tokens;
    result_.seconds.train = training.seconds;
    result_.tokens_per_second = training.tokens_per_second;
    result_.trace = training.trace;
    move_back(device);
    return !training.interrupted;
  }

  // False when a signal ended it; the finished blocks are saved then.
  bool quantise() {
    const CalibrationText text = calibration_text(recipe_, options_, *inputs_.tokenizer,
                                                  std::move(inputs_.calibration), teacher_);
    student_ = start_student(recipe_, inputs_.teacher.config, &teacher_);
    const RunIdentity identity{identity_text(recipe_, 1), teacher_.sha256,
                               inputs_.tokenizer->hash(), text.sha256};
    require_agreement(ranks_, ErrorKind::format, {{"data_sha256", identity.data_sha256}});
    std::optional<CheckpointContent> from;
    Calibration calibration;
    ranks_.together([&] {
      from = newest_checkpoint(identity);
      calibration = start_calibration(student_.decoder, text.tokens, text.sequences,
                                      use_device(recipe_.run.device), ranks_);
    });
    const int64_t done = from ? meta_number(*from, "step") : 0;
    require_one_checkpoint(done);
    Progress progress(method_name(recipe_.run),
                      static_cast<int64_t>(student_.decoder.blocks.size()), options_.quiet, done);
    QuantisingResult quantised =
        run_quantising(context(identity, progress), student_, *recipe_.run.ptq, recipe_.ptq,
                       std::move(calibration), std::move(from));
    progress.finish();
    result_.layers = std::move(quantised.layers);
    result_.seconds.calibrate = quantised.calibrate_seconds;
    result_.seconds.quantise = quantised.quantise_seconds;
    return !quantised.interrupted;
  }

  // Writes the final model and reads it back: what is evaluated is what was written.
  void pack() {
    ranks_.first_does([&] {
      write_checkpoint_file(directory_.model_file(),
                            model_content(student_.decoder, student_.config));
    });
    ranks_.together([&] { student_ = load_model(directory_.model_file()); });
    release_kept_memory();
  }

  void evaluate() {
    const Stopwatch evaluating;
    LoadedModel& model = made() ? student_ : teacher_;
    result_.model_bytes = model.file_bytes;
    result_.student = footprint(model.decoder, model.file_bytes);
    if (inputs_.eval.empty()) return;
    if (has_teacher()) need_teacher();
    Decoder* teacher = has_teacher() && made() ? &teacher_.decoder : nullptr;
    const Device device = use_device(recipe_.run.device);
    move_to_evaluate(model.decoder, device);
    if (teacher) move_to_evaluate(*teacher, device);
    const auto go_on = [this] {
      if (ranks_.any(interrupted())) throw Interrupted();
    };
    result_.eval = evaluate_all(model.decoder, teacher, inputs_.eval,
                                {.quiet = options_.quiet, .go_on = go_on, .ranks = ranks_});
    result_.seconds.eval = evaluating.seconds();
  }

  void report() {
    result_.seconds.total = total_.seconds();
    const std::string json = result_json(result_);
    ranks_.first_does([&] {
      write_text_durably(directory_.result_file(), json + "\n");
      print_copy_of(directory_.result_file(), [&] {
        if (options_.json) return print("{}\n", json);
        print_summary(result_, directory_.path());
      });
    });
  }

  // The method makes a model of its own.
  bool made() const { return recipe_.run.method != Method::none; }

 private:
  // The student, which gets its numbers from a checkpoint where there is one.
  void start(const std::optional<CheckpointContent>& from) {
    const Stopwatch starting;
    if (from) result_.warm_start = warm_started_blocks(*from);
    if (from || !calibrates(recipe_))
      student_ =
          start_student(recipe_, inputs_.teacher.config, has_teacher() ? &teacher_ : nullptr);
    else
      student_ =
          start_on_windows(recipe_, options_, directory_, inputs_, teacher_, result_.warm_start);
    result_.seconds.quantise = starting.seconds();
  }

  // The documents that are not trained on, for whoever measures other models on them.
  void keep_held_out() {
    const std::vector<int32_t> tokens = inputs_.training.held_out.all();
    if (tokens.empty() || (options_.resume && exists_at(directory_.held_out_file()))) return;
    write_token_file(directory_.held_out_file(), tokens, *inputs_.tokenizer);
  }

  void disclose(const TrainingText& text) {
    result_.data = {.sources = inputs_.training.sources,
                    .mixed = !recipe_.data.sources.empty(),
                    .tokens = inputs_.training.tokens.size() + text.generated_tokens,
                    .generated_tokens = text.generated_tokens,
                    .sha256 = text.sha256,
                    .cross_documents = recipe_.data.cross_documents,
                    .held_out = recipe_.data.held_out,
                    .held_out_documents = inputs_.training.held_out_documents,
                    .held_out_tokens = inputs_.training.held_out.size()};
  }

  void import_teacher() {
    ranks_.together(
        [&] { teacher_ = load_model(recipe_.teacher.model, {.dtype = recipe_.teacher.dtype}); });
    for (const std::string& note : teacher_.notes)
      if (ranks_.first()) say("{}\n", note);
    result_.teacher_path = recipe_.teacher.model;
    result_.teacher_sha256 = teacher_.sha256;
    result_.teacher_parameters = footprint(teacher_.decoder, 0).parameters;
    result_.teacher_fp16_bytes = 2 * result_.teacher_parameters;
    result_.seconds.import = total_.seconds();
  }

  // The ranks have read the same.
  void require_one_input() const {
    if (ranks_.alone()) return;
    std::map<std::string, std::string> own{{"teacher_sha256", result_.teacher_sha256},
                                           {"tokenizer_hash", inputs_.tokenizer->hash()}};
    own.merge(digests(inputs_.eval));
    require_agreement(ranks_, ErrorKind::format, own);
  }

  bool has_teacher() const { return recipe_.run.method != Method::pretrain; }

  RunContext context(const RunIdentity& identity, Progress& progress) const {
    return {.directory = directory_,
            .identity = identity_meta(identity),
            .stop = interrupted,
            .progress = [&progress](int64_t done,
                                    const std::string& text) { progress.update(done, text); },
            .ranks = ranks_};
  }

  // They train on the same, and begin with the same numbers.
  void require_one_start(const RunIdentity& identity) {
    if (ranks_.alone()) return;
    require_agreement(ranks_, ErrorKind::format,
                      {{"data_sha256", identity.data_sha256},
                       {"teacher_logits_sha256", identity.teacher_logits_sha256},
                       {"student's first weights", tensors_digest(weights_of(student_.decoder))}});
  }

  void require_one_checkpoint(int64_t step) const {
    require_agreement(ranks_, ErrorKind::checkpoint,
                      {{"step of the newest checkpoint", std::to_string(step)}});
  }

  // What a resumed run goes on from; none: it starts from the beginning.
  std::optional<CheckpointContent> newest_checkpoint(const RunIdentity& identity) const {
    if (!options_.resume) return {};
    std::vector<std::string> damaged;
    auto content = directory_.newest_content(damaged);
    if (ranks_.first())
      for (const std::string& what : damaged) say("skipped a damaged checkpoint: {}\n", what);
    if (content)
      check_identity(*content, identity, options_.allow_inexact);
    else if (ranks_.first())
      say("no whole checkpoint: starting from the beginning\n");
    return content;
  }

  // Of the latent weights as they are, not of a packed file.
  std::function<double()> held_out_perplexity() {
    if (inputs_.eval.texts.empty()) return {};
    return [this] {
      const HeldOutText& first = inputs_.eval.texts.front();
      return halftone::evaluate(student_.decoder, nullptr, first.text, first.settings, {}, ranks_)
          .perplexity;
    };
  }

  // Both models to where they are trained; the teacher is kept in what it is multiplied in.
  void move_to(Device device) {
    if (device == Device::cpu) return;
    const DType precision = recipe_.train.precision == Precision::bf16 ? DType::bf16 : DType::f32;
    student_.decoder.activations = precision;
    student_.decoder.move_to(device);
    if (!teacher_.decoder.blocks.empty()) {
      teacher_.decoder.activations = precision;
      teacher_.decoder.move_to(device, precision);
    }
  }

  // The teacher as it is stored is loaded again when it is needed.
  void move_back(Device device) {
    if (device == Device::cpu) return;
    release_teacher();
    student_.decoder.activations = DType::f32;
    student_.decoder.move_to(Device::cpu);
  }

  // Its weights alone; a cache holds what training needs of them.
  void release_teacher() {
    teacher_.decoder = {};
    release_kept_memory();
  }

  void need_teacher() {
    if (!teacher_.decoder.blocks.empty()) return;
    teacher_ = load_model(recipe_.teacher.model, {.dtype = recipe_.teacher.dtype});
    if (teacher_.sha256 != result_.teacher_sha256)
      throw_error(ErrorKind::format, "{}: changed while the run was going on",
                  recipe_.teacher.model);
  }

  const Recipe& recipe_;
  const RunOptions& options_;
  const Ranks& ranks_;
  RunDirectory directory_;
  RunInputs inputs_;
  Stopwatch total_;
  RunResult result_;
  LoadedModel teacher_, student_;
};

}  // namespace

int run_recipe(const Recipe& given, const RunOptions& options) {
  const Stopwatch total;
  Recipe recipe = given;
  const Ranks& ranks = options.ranks;
  const RunDirectory directory(
      options.run_dir.empty() ? recipe.run.output_dir + "/" + recipe.run.name : options.run_dir);
  recipe.run.output_dir = fs::absolute(directory.path() + "/..").lexically_normal().parent_path();
  set_threads(recipe.run.threads > 0 ? static_cast<int>(recipe.run.threads) : ranks.cores());
  require_one_recipe(ranks, recipe);
  ranks.together([&] { require_exchange(ranks, use_device(recipe.run.device)); });
  if (!options.resume) ranks.first_does([&] { directory.require_unused(); });
  RunInputs inputs;
  const auto read = [&] {
    inputs = read_inputs(recipe, directory.path(), ranks.first(), ranks.size());
  };
  ranks.first_does(read);  // and keeps the tokens that the others read then
  ranks.together([&] {
    if (!ranks.first()) read();
  });
  if (!options.resume && ranks.first())
    for (const std::string& warning : inputs.warnings) say("warning: {}\n", warning);

  std::optional<DirectoryLock> lock;
  ranks.first_does([&] {
    directory.create();
    lock.emplace(directory.path());
    remove_temporaries(directory.path());
    if (options.resume) return;
    directory.require_unused();
    write_text_durably(directory.recipe_file(), write_recipe(recipe));
  });
  catch_interrupts();

  Run run(recipe, options, directory, std::move(inputs), total);
  run.import();
  if (run.made()) {
    const bool finished = is_trained(recipe.run.method) ? run.train() : run.quantise();
    // Only now: a resume that is refused has changed nothing.
    ranks.first_does([&] { write_text_durably(directory.recipe_file(), write_recipe(recipe)); });
    if (!finished) {
      if (ranks.first()) say("interrupted; go on with: halftone resume {}\n", directory.path());
      return kExitInterrupted;
    }
    run.pack();
  }
  run.evaluate();
  run.report();
  return 0;
}

}  // namespace halftone
