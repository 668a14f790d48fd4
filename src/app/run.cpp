#include "halftone/app/run.h"

#include <chrono>
#include <filesystem>
#include <optional>

#include "halftone/app/interrupt.h"
#include "halftone/app/progress.h"
#include "halftone/app/quantising.h"
#include "halftone/app/run_directory.h"
#include "halftone/app/teacher_logits.h"
#include "halftone/app/text_tokens.h"
#include "halftone/app/training.h"
#include "halftone/base/error.h"
#include "halftone/base/threads.h"
#include "halftone/compress/onebit_start.h"
#include "halftone/eval/result.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/directory_lock.h"
#include "halftone/io/text_file.h"
#include "halftone/model/load.h"
#include "halftone/tensor/memory.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Copies the tokenizer beside the model, so that the run directory is a model by itself.
std::string keep_tokenizer(const std::string& teacher, const RunDirectory& directory) {
  const std::string source = teacher + "/tokenizer.json";
  if (!fs::is_regular_file(source)) return teacher;
  if (!fs::exists(directory.tokenizer_file()))
    write_text_durably(directory.tokenizer_file(), read_text_file(source, uint64_t{1} << 30));
  return directory.tokenizer_file();
}

// The teacher of a distilled run; a pretrained one starts from its configuration alone.
LoadedModel start_student(const Recipe& recipe, const LoadedModel* teacher,
                          const std::string& tokenizer_path) {
  LoadedModel student;
  student.tokenizer_path = tokenizer_path;
  if (!teacher) {
    student.config = read_config(recipe.teacher.model + "/config.json");
    student.decoder = build_decoder(
        student.config, random_weights(student.config, static_cast<uint64_t>(recipe.run.seed)));
    return student;
  }
  student.config = teacher->config;
  student.decoder = build_decoder(
      student.config, trainable_copy(weights_of(const_cast<Decoder&>(teacher->decoder))));
  if (recipe.run.method == Method::onebit) start_onebit(student.decoder, recipe.student);
  return student;
}

// The recipe without what may differ between two sittings of one run.
std::string identity_text(Recipe recipe) {
  const TrainSettings defaults;
  recipe.run.output_dir = {};
  recipe.run.name = {};
  recipe.run.threads = 0;
  recipe.train.max_steps = recipe.train.logging_steps = recipe.train.eval_steps =
      recipe.train.save_steps = 0;
  recipe.train.num_train_epochs = 0;
  recipe.train.save_total_limit = defaults.save_total_limit;
  recipe.eval = {};
  return write_recipe(recipe);
}

void print_summary(const RunResult& r, const std::string& directory) {
  fmt::print("{}: {}\n", r.name, r.method);
  if (r.evaluated) {
    fmt::print("  perplexity   {:.4f}", r.eval.perplexity);
    if (r.eval.teacher_perplexity > 0)
      fmt::print("  ({:.4f} times the teacher's {:.4f}; KL {:.4f}, top-1 {:.1f} %)",
                 r.eval.perplexity / r.eval.teacher_perplexity, r.eval.teacher_perplexity,
                 r.eval.kl, 100 * r.eval.top1);
    fmt::print("\n");
  }
  fmt::print(
      "  bits         paper {:.4f}, linears {:.4f}, file {:.3f}  ({:.2f} MB, {} parameters)\n",
      r.student.paper_bits, r.student.linear_bits, r.student.file_bits,
      static_cast<double>(r.model_bytes) / 1e6, r.student.parameters);
  fmt::print("  tokens seen  {}\n  time         {}\n  files        {}\n", r.tokens_seen,
             duration_text(r.seconds.total), directory);
}

// One run from its recipe to its result, a stage a function.
class Run {
 public:
  Run(const Recipe& recipe, const RunOptions& options, RunDirectory directory)
      : recipe_(recipe), options_(options), directory_(std::move(directory)) {
    result_.name = recipe.run.name;
    result_.method = method_name(recipe.run.method);
    result_.recipe_sha256 = recipe_sha256(recipe);
    result_.seed = recipe.run.seed;
  }

  void import() {
    tokenizer_ = load_tokenizer(recipe_.teacher.model);
    tokenizer_path_ = keep_tokenizer(recipe_.teacher.model, directory_);
    if (!recipe_.eval.text.empty()) held_out_ = read_text_tokens(recipe_.eval, *tokenizer_);
    if (!has_teacher()) return;
    teacher_ = load_model(recipe_.teacher.model, DType::f16);
    result_.teacher_path = recipe_.teacher.model;
    result_.teacher_sha256 = teacher_.sha256;
    result_.teacher_parameters = footprint(teacher_.decoder, 0).parameters;
    result_.teacher_fp16_bytes = 2 * result_.teacher_parameters;
    result_.seconds.import = total_.seconds();
  }

  // False when a signal ended it; the state is saved then.
  bool train() {
    const TrainingText text =
        training_text(recipe_, options_, *tokenizer_, has_teacher() ? &teacher_ : nullptr);
    std::optional<LogitCache> cache;
    if (recipe_.teacher.cache_top_k > 0) cache = teacher_logits(recipe_, options_, text, teacher_);
    const Stopwatch starting;
    student_ = start_student(recipe_, has_teacher() ? &teacher_ : nullptr, tokenizer_path_);
    result_.seconds.quantise = starting.seconds();
    const RunIdentity identity{identity_text(recipe_), teacher_.sha256, tokenizer_->hash(),
                               text.sha256, cache ? cache->sha256() : ""};
    if (cache) release_teacher();
    const TrainingResult training = halftone::train(
        recipe_, options_, directory_, student_,
        has_teacher() && !cache ? &teacher_.decoder : nullptr, cache ? &*cache : nullptr,
        text.sequences, identity, held_out_ ? &*held_out_ : nullptr);
    result_.tokens_seen = training.tokens;
    result_.seconds.train = training.seconds;
    result_.tokens_per_second = training.tokens_per_second;
    return !training.interrupted;
  }

  // False when a signal ended it; the finished blocks are saved then.
  bool quantise() {
    const CalibrationText text = calibration_text(recipe_, options_, *tokenizer_, teacher_);
    student_ = start_student(recipe_, &teacher_, tokenizer_path_);
    const RunIdentity identity{identity_text(recipe_), teacher_.sha256, tokenizer_->hash(),
                               text.sha256};
    QuantisingResult quantised =
        quantise_model(recipe_, options_, directory_, student_, text, identity);
    result_.layers = std::move(quantised.layers);
    result_.seconds.calibrate = quantised.calibrate_seconds;
    result_.seconds.quantise = quantised.quantise_seconds;
    return !quantised.interrupted;
  }

  // Writes the final model and reads it back: what is evaluated is what was written.
  void pack() {
    write_checkpoint_file(directory_.model_file(),
                          model_content(student_.decoder, student_.config, tokenizer_path_));
    student_ = load_model(directory_.model_file(), DType::f32);
    release_kept_memory();
  }

  void evaluate() {
    const Stopwatch evaluating;
    LoadedModel& model = made() ? student_ : teacher_;
    result_.model_bytes = model.file_bytes;
    result_.student = footprint(model.decoder, model.file_bytes);
    if (!held_out_) return;
    if (has_teacher()) need_teacher();
    const int64_t windows = static_cast<int64_t>(held_out_->tokens.size()) / recipe_.eval.context;
    const int64_t wanted = recipe_.eval.max_windows;
    Progress progress("eval", wanted > 0 ? std::min(windows, wanted) : windows, options_.quiet);
    result_.eval = halftone::evaluate(
        model.decoder, has_teacher() && made() ? &teacher_.decoder : nullptr, held_out_->tokens,
        recipe_.eval, held_out_->window_bos, [&](int64_t done, int64_t, double perplexity) {
          progress.update(done, fmt::format("perplexity {:.4f}", perplexity));
        });
    result_.evaluated = true;
    result_.eval_settings = recipe_.eval;
    result_.eval_tokens = static_cast<int64_t>(held_out_->tokens.size());
    result_.text_sha256 = held_out_->sha256;
    result_.seconds.eval = evaluating.seconds();
  }

  void report() {
    result_.seconds.total = total_.seconds();
    const std::string json = result_json(result_);
    write_text_durably(directory_.result_file(), json + "\n");
    if (options_.json)
      fmt::print("{}\n", json);
    else
      print_summary(result_, directory_.path());
  }

  // The method makes a model of its own.
  bool made() const { return recipe_.run.method != Method::none; }

 private:
  bool has_teacher() const { return recipe_.run.method != Method::pretrain; }

  // Its weights alone; a cache holds what training needs of them.
  void release_teacher() {
    teacher_.decoder = {};
    release_kept_memory();
  }

  void need_teacher() {
    if (!teacher_.decoder.blocks.empty()) return;
    teacher_ = load_model(recipe_.teacher.model, DType::f16);
    if (teacher_.sha256 != result_.teacher_sha256)
      throw_error(ErrorKind::format, "{}: changed while the run was going on",
                  recipe_.teacher.model);
  }

  const Recipe& recipe_;
  const RunOptions& options_;
  RunDirectory directory_;
  Stopwatch total_;
  RunResult result_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::string tokenizer_path_;
  std::optional<TextTokens> held_out_;
  LoadedModel teacher_, student_;
};

}  // namespace

int run_recipe(const Recipe& recipe, const RunOptions& options) {
  const RunDirectory directory(
      options.run_dir.empty() ? recipe.run.output_dir + "/" + recipe.run.name : options.run_dir);
  directory.create();
  const DirectoryLock lock(directory.path());
  remove_temporaries(directory.path());
  if (!options.resume && !directory.checkpoints().empty())
    throw_error(ErrorKind::recipe,
                "{}: holds checkpoints of an earlier run; go on with `halftone resume {}`, or "
                "choose another --run-dir",
                directory.path(), directory.path());
  if (!options.resume) write_text_durably(directory.recipe_file(), write_recipe(recipe));
  set_threads(static_cast<int>(recipe.run.threads));
  catch_interrupts();

  Run run(recipe, options, directory);
  run.import();
  if (run.made()) {
    const bool finished = is_trained(recipe.run.method) ? run.train() : run.quantise();
    // Only now: a resume that is refused has changed nothing.
    write_text_durably(directory.recipe_file(), write_recipe(recipe));
    if (!finished) {
      fmt::print(stderr, "interrupted; go on with: halftone resume {}\n", directory.path());
      return kExitInterrupted;
    }
    run.pack();
  }
  run.evaluate();
  run.report();
  return 0;
}

}  // namespace halftone
