#include "halftone/app/run.h"

#include <chrono>
#include <filesystem>

#include "halftone/app/interrupt.h"
#include "halftone/app/progress.h"
#include "halftone/app/run_directory.h"
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

Evaluation evaluate_text(const Recipe& recipe, const RunOptions& options, Decoder& model,
                         Decoder* teacher, const TextTokens& text) {
  const int64_t windows = static_cast<int64_t>(text.tokens.size()) / recipe.eval.context;
  Progress progress(
      "eval", recipe.eval.max_windows > 0 ? std::min(windows, recipe.eval.max_windows) : windows,
      options.quiet);
  return evaluate(model, teacher, text.tokens, recipe.eval, text.window_bos,
                  [&](int64_t done, int64_t, double perplexity) {
                    progress.update(done, fmt::format("perplexity {:.4f}", perplexity));
                  });
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

}  // namespace

int run_recipe(const Recipe& recipe, const RunOptions& options) {
  const Stopwatch total;
  const RunDirectory directory(
      options.run_dir.empty() ? recipe.run.output_dir + "/" + recipe.run.name : options.run_dir);
  directory.create();
  const DirectoryLock lock(directory.path());
  if (!options.resume && !directory.checkpoints().empty())
    throw_error(ErrorKind::recipe,
                "{}: holds checkpoints of an earlier run; go on with `halftone resume {}`, or "
                "choose another --run-dir",
                directory.path(), directory.path());
  if (!options.resume) write_text_durably(directory.recipe_file(), write_recipe(recipe));
  set_threads(static_cast<int>(recipe.run.threads));
  catch_interrupts();

  RunResult result{.name = recipe.run.name,
                   .method = std::string(method_name(recipe.run.method)),
                   .recipe_sha256 = recipe_sha256(recipe),
                   .seed = recipe.run.seed};
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(recipe.teacher.model);
  const std::string tokenizer_path = keep_tokenizer(recipe.teacher.model, directory);
  const bool trained = recipe.run.method != Method::none;
  const bool has_teacher = recipe.run.method != Method::pretrain;
  LoadedModel teacher, student;
  if (has_teacher) {
    teacher = load_model(recipe.teacher.model, DType::f16);
    result.teacher_path = recipe.teacher.model;
    result.teacher_sha256 = teacher.sha256;
    result.teacher_parameters = footprint(teacher.decoder, 0).parameters;
    result.teacher_fp16_bytes = 2 * result.teacher_parameters;
  }
  result.seconds.import = total.seconds();

  if (trained) {
    const Stopwatch starting;
    student = start_student(recipe, has_teacher ? &teacher : nullptr, tokenizer_path);
    result.seconds.quantise = starting.seconds();
    const TrainingText text =
        training_text(recipe, options, *tokenizer, has_teacher ? &teacher : nullptr);
    const TrainingIdentity identity{identity_text(recipe), teacher.sha256, tokenizer->hash(),
                                    text.sha256};
    const TrainingResult training =
        train(recipe, options, directory, student, has_teacher ? &teacher.decoder : nullptr,
              text.sequences, identity);
    write_text_durably(directory.recipe_file(),
                       write_recipe(recipe));  // a refused resume has changed nothing
    result.tokens_seen = training.tokens;
    result.seconds.train = training.seconds;
    result.tokens_per_second = training.tokens_per_second;
    if (training.interrupted) {
      fmt::print(stderr, "interrupted; go on with: halftone resume {}\n", directory.path());
      return kExitInterrupted;
    }
    write_checkpoint_file(directory.model_file(),
                          model_content(student.decoder, student.config, tokenizer_path));
    student =
        load_model(directory.model_file(), DType::f32);  // what is evaluated is what was written
    release_kept_memory();
  }

  const Stopwatch evaluating;
  Decoder& model = trained ? student.decoder : teacher.decoder;
  result.model_bytes = trained ? student.file_bytes : teacher.file_bytes;
  result.student = footprint(model, result.model_bytes);
  if (!recipe.eval.text.empty()) {
    const TextTokens text = read_text_tokens(recipe.eval, *tokenizer);
    result.evaluated = true;
    result.eval = evaluate_text(recipe, options, model,
                                has_teacher && trained ? &teacher.decoder : nullptr, text);
    result.eval_settings = recipe.eval;
    result.eval_tokens = static_cast<int64_t>(text.tokens.size());
    result.text_sha256 = text.sha256;
  }
  result.seconds.eval = evaluating.seconds();
  result.seconds.total = total.seconds();
  const std::string json = result_json(result);
  write_text_durably(directory.result_file(), json + "\n");
  if (options.json)
    fmt::print("{}\n", json);
  else
    print_summary(result, directory.path());
  return 0;
}

}  // namespace halftone
