#include "app/inputs.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <filesystem>

#include "app/teacher_logits.h"
#include "halftone/base/error.h"
#include "halftone/compress/onebit_start.h"
#include "halftone/eval/perplexity.h"
#include "halftone/io/file_kind.h"
#include "halftone/model/companions.h"
#include "halftone/model/spec.h"
#include "halftone/tensor/device.h"
#include "halftone/train/trainer.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

// Faults of independent parts, told together.
class Faults {
 public:
  template <class Part>
  void collect(const Part& part) {
    try {
      part();
    } catch (const Error& error) {
      add(error.kind(), error.what());
    }
  }
  void add(ErrorKind kind, const std::string& text) {
    if (!kind_) kind_ = kind;
    lines_.push_back(text);
  }
  void throw_if_any() const {
    if (kind_) throw Error(*kind_, fmt::format("{}", fmt::join(lines_, "\n")));
  }

 private:
  std::optional<ErrorKind> kind_;
  std::vector<std::string> lines_;
};

// An HF directory without weights that are read.
bool has_config_alone(const std::string& model) {
  const std::string whole = model + "/model.safetensors";
  return exists_at(model + "/config.json") && !exists_at(whole) &&
         !exists_at(whole + ".index.json");
}

ModelOutline teacher_outline(const Recipe& recipe, bool without_weights) {
  const std::string& model = recipe.teacher.model;
  if (recipe.run.method == Method::pretrain || without_weights)
    return {read_config(model + "/config.json"), model};
  ModelOutline out = read_outline(model);
  if (recipe.run.method != Method::none && !out.dense)
    throw_error(ErrorKind::recipe,
                "teacher.model: {} is quantised already, a full-precision model expected", model);
  return out;
}

void check_training_text(const Recipe& recipe, const RunInputs& inputs, int ranks) {
  const int64_t sequences = planned_sequences(recipe, inputs);
  if (sequences == 0)
    throw_error(ErrorKind::recipe,
                "data.train: found {} tokens, at least one sequence of data.max_seq_length = {} "
                "expected",
                inputs.training.tokens.size(), recipe.data.max_seq_length);
  if (recipe.train.per_device_train_batch_size > sequences)
    throw_error(ErrorKind::recipe,
                "train.per_device_train_batch_size: found {}, at most the {} sequences of "
                "data.max_seq_length = {} tokens that the data has expected",
                recipe.train.per_device_train_batch_size, sequences, recipe.data.max_seq_length);
  const int64_t steps = planned_steps(recipe.train, sequences, ranks);
  if (recipe.train.warmup_steps > steps)
    throw_error(ErrorKind::recipe,
                "train.warmup_steps: found {}, at most the {} steps of {} epochs "
                "expected",
                recipe.train.warmup_steps, steps, recipe.train.num_train_epochs);
  if (recipe.teacher.cache_top_k > 0)
    planned_teacher_logits(recipe, inputs.teacher.config, sequences);
}

void check_calibration_text(const Recipe& recipe, const RunInputs& inputs) {
  const CalibrationSettings& c = recipe.calibration;
  const GenerateSettings& g = recipe.data.generate;
  const int64_t tokens =
      c.text.empty() ? g.sequences * (recipe.data.max_seq_length + 1) : inputs.calibration.size();
  require_calibration_windows(c, tokens);
}

bool draws_text(const Recipe& recipe) {
  return recipe.data.generate_present && (recipe.run.method == Method::onebit ||
                                          (recipe.run.ptq && recipe.calibration.text.empty()));
}

void require_rows_of(const TokenStream& tokens, const RunInputs& inputs, const std::string& what) {
  tokens.for_each_part(
      [&](std::span<const int32_t> part) { require_rows(part, inputs.teacher.config, what); });
}

// The documents that are not trained on are a text to be measured.
void add_held_out(const Recipe& recipe, const std::string& directory, RunInputs& inputs) {
  const TokenStream& held_out = inputs.training.held_out;
  if (inputs.training.held_out_documents == 0)
    throw_error(ErrorKind::recipe,
                "data.held_out: found {}, which holds out none of the documents, a larger share or "
                "more documents expected",
                recipe.data.held_out);
  const TextSettings settings = held_out_settings(recipe, RunDirectory(directory).held_out_file());
  HeldOutText text =
      held_out_tokens(settings, held_out.all(), *inputs.tokenizer, inputs.teacher.config);
  evaluation_windows(text.text, settings);
  inputs.eval.texts.push_back(std::move(text));
}

void read_texts(const Recipe& recipe, const std::string& directory, const TokenCache& cache,
                RunInputs& inputs, int ranks, Faults& faults) {
  const Tokenizer& tokenizer = *inputs.tokenizer;
  for (const TextSettings& text : texts_of(recipe.eval))
    faults.collect([&] {
      inputs.eval.texts.push_back(read_held_out(text, tokenizer, inputs.teacher.config));
      evaluation_windows(inputs.eval.texts.back().text, text);
    });
  for (const std::string& task : recipe.eval.tasks)
    faults.collect(
        [&] { add_task(task, recipe.eval, tokenizer, inputs.teacher.config, inputs.eval); });
  if (is_trained(recipe.run.method))
    faults.collect([&] {
      inputs.training = read_sources(recipe.data, tokenizer, cache);
      require_rows_of(inputs.training.tokens, inputs, "data.train");
      check_training_text(recipe, inputs, ranks);
      if (recipe.data.held_out > 0) add_held_out(recipe, directory, inputs);
    });
  if (calibrates(recipe))
    faults.collect([&] {
      inputs.calibration = read_token_stream(recipe.calibration.text, tokenizer, cache);
      require_rows_of(inputs.calibration, inputs, "calibration.text");
      check_calibration_text(recipe, inputs);
    });
  if (draws_text(recipe) && !tokenizer.eos())
    faults.add(ErrorKind::recipe,
               "data.generate: the tokenizer has no end token to close a sequence with");
}

// Bytes that the run writes to its directory while it lasts: one checkpoint more than are kept, for
// the oldest goes when the newest is whole, and the final model.
double planned_bytes(const Recipe& recipe, const RunInputs& inputs, const std::string& directory) {
  const auto parameters = static_cast<double>(parameter_count(decoder_spec(inputs.teacher.config)));
  const auto there = static_cast<double>(checkpoint_files(directory).size());
  if (is_trained(recipe.run.method)) {
    const double kept = static_cast<double>(recipe.train.save_total_limit) + 1;
    return 12 * parameters * std::max(kept - there, 1.0) + 2 * parameters;
  }
  return recipe.run.ptq ? 3 * 2 * parameters : 0;
}

// What is wrong where the disk has no room for the run; "" where it has.
std::string full_disk(const Recipe& recipe, const RunInputs& inputs, const std::string& directory) {
  fs::path at = fs::absolute(directory);
  while (!fs::exists(at) && at.has_relative_path()) at = at.parent_path();
  struct statvfs disk {};
  if (::statvfs(at.c_str(), &disk) != 0) return "";
  const double free = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize);
  const double needed = planned_bytes(recipe, inputs, directory);
  if (needed <= free) return "";
  return fmt::format(
      "{}: the run writes {:.0f} MB there (checkpoints and model), but the disk has "
      "{:.0f} MB left; train.save_total_limit = {}",
      directory, needed / 1e6, free / 1e6, recipe.train.save_total_limit);
}

// The lengths in tokens at which the run uses its models, and the keys that say so.
std::vector<std::pair<std::string, int64_t>> contexts(const Recipe& recipe) {
  std::vector<std::pair<std::string, int64_t>> out;
  const EvalSettings& eval = recipe.eval;
  const bool held_out = is_trained(recipe.run.method) && recipe.data.held_out > 0;
  if (held_out || (!eval.text.empty() && eval.texts.empty()))
    out.emplace_back("eval.context", eval.context);
  for (size_t i = 0; i < eval.texts.size(); ++i)
    out.emplace_back(fmt::format("eval.text[{}].context", i), eval.texts[i].context);
  if (is_trained(recipe.run.method) || draws_text(recipe))
    out.emplace_back("data.max_seq_length", recipe.data.max_seq_length);
  if (calibrates(recipe))
    out.emplace_back("calibration.max_seq_length", recipe.calibration.max_seq_length);
  return out;
}

std::vector<std::string> used_sections(const Recipe& recipe) {
  std::vector<std::string> out{"run", "teacher", "eval"};
  const auto add = [&](std::initializer_list<const char*> names) {
    out.insert(out.end(), names.begin(), names.end());
  };
  if (is_trained(recipe.run.method)) add({"data", "train"});
  if (recipe.run.method == Method::onebit) add({"student", "loss", "warm_start"});
  if (calibrates(recipe)) add({"calibration"});
  if (recipe.run.ptq) add({"ptq"});
  if (draws_text(recipe)) add({"data"});
  return out;
}

void add_warnings(const Recipe& recipe, RunInputs& inputs) {
  const std::vector<std::string> used = used_sections(recipe);
  for (const std::string& section : recipe.sections)
    if (std::find(used.begin(), used.end(), section) == used.end())
      inputs.warnings.push_back(fmt::format("[{}] is given, but the method {} does not use it",
                                            section, method_name(recipe.run)));
  const int64_t most = inputs.teacher.config.max_position_embeddings;
  for (const auto& [key, tokens] : contexts(recipe))
    if (tokens > most)
      inputs.warnings.push_back(
          fmt::format("{}: {} tokens are more than the model's max_position_embeddings = {}", key,
                      tokens, most));
}

}  // namespace

int64_t planned_sequences(const Recipe& recipe, const RunInputs& inputs) {
  const int64_t length = recipe.data.max_seq_length;
  return (inputs.training.tokens.size() + recipe.data.generate.sequences * (length + 1)) / length;
}

RunInputs read_inputs(const Recipe& recipe, const std::string& directory, bool keep_tokens,
                      int ranks, bool elsewhere) {
  RunInputs inputs;
  Faults faults;
  const bool without_weights =
      elsewhere && recipe.run.method != Method::pretrain && has_config_alone(recipe.teacher.model);
  inputs.teacher = teacher_outline(recipe, without_weights);
  if (without_weights)
    inputs.warnings.push_back(fmt::format(
        "teacher.model: {} has no weights, which `run` expects; they are planned as F16",
        recipe.teacher.model));
  faults.collect([&] {
    inputs.tokenizer = load_model_tokenizer(inputs.teacher.home, inputs.teacher.config);
    read_texts(recipe, directory, token_cache(recipe, keep_tokens), inputs, ranks, faults);
  });
  for (const auto& [key, tokens] : contexts(recipe))
    faults.collect([&, key = key, tokens = tokens] {
      check_context(decoder_spec(inputs.teacher.config), tokens, key);
    });
  if (recipe.run.method == Method::onebit)
    faults.collect([&] { check_student(decoder_spec(inputs.teacher.config), recipe.student); });
  const std::string full = full_disk(recipe, inputs, directory);
  if (elsewhere && !full.empty()) inputs.warnings.push_back(full);
  if (!elsewhere && !full.empty()) faults.add(ErrorKind::io, full);
  faults.throw_if_any();
  add_warnings(recipe, inputs);
  return inputs;
}

}  // namespace halftone
