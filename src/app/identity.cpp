#include "app/identity.h"

#include "app/many_ranks.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/device.h"
#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

constexpr const char* kCpu = "cpu";

void forget_paths(Recipe& recipe) {
  recipe.teacher.model = {};
  recipe.data.train = {};
  recipe.data.generate.prefix = {};
  for (SourceSettings& source : recipe.data.sources) source.path = {};
  for (SourceSettings& prefix : recipe.data.generate.prefixes) prefix.path = {};
  recipe.calibration.text = {};
}

}  // namespace

std::string identity_text(Recipe recipe, int ranks) {
  const TrainSettings defaults;
  forget_paths(recipe);
  recipe.run.output_dir = {};
  recipe.run.name = {};
  recipe.run.threads = recipe.run.trace_steps = 0;
  recipe.run.device = {};  // stands beside it, as the machine
  recipe.train.gradient_accumulation_steps *= ranks;
  recipe.train.max_steps = recipe.train.logging_steps = recipe.train.eval_steps =
      recipe.train.save_steps = 0;
  recipe.train.num_train_epochs = 0;
  recipe.train.save_minutes = defaults.save_minutes;
  recipe.train.save_total_limit = defaults.save_total_limit;
  recipe.train.shard_parameters = defaults.shard_parameters;
  recipe.eval = {};
  return write_recipe(recipe);
}

void require_one_recipe(const Ranks& ranks, Recipe recipe) {
  if (ranks.alone()) return;
  forget_paths(recipe);
  recipe.eval.text = recipe.eval.tasks_dir = {};
  for (TextSettings& text : recipe.eval.texts) text.text = {};
  std::map<std::string, std::string> own{{"program", sha256_file("/proc/self/exe").substr(0, 16)},
                                         {"version", HALFTONE_VERSION},
                                         {"instruction set", isa_name(isa())},
                                         {"threads", std::to_string(threads())},
                                         {"BLAS", blas_name()}};
  for (const auto& [key, value] : recipe_entries(write_recipe(recipe), "recipe")) own[key] = value;
  require_agreement(ranks, ErrorKind::recipe, own);
}

std::map<std::string, std::string> identity_meta(const RunIdentity& identity) {
  return {{"recipe", identity.recipe},
          {"teacher_sha256", identity.teacher_sha256},
          {"tokenizer_hash", identity.tokenizer_hash},
          {"data_sha256", identity.data_sha256},
          {"teacher_logits_sha256", identity.teacher_logits_sha256},
          {"device", gpu_description().empty() ? std::string(kCpu) : gpu_description()},
          {"isa", isa_name(isa())},
          {"threads", std::to_string(threads())},
          {"blas", blas_name()},
          {"version", HALFTONE_VERSION}};
}

namespace {

// "section.key was A, this run has B" for each key in which two recipes differ.
std::vector<std::string> differing_keys(const std::string& before, const std::string& now) {
  const auto old = recipe_entries(before, "checkpoint: meta 'recipe'");
  std::map<std::string, std::string> left(old.begin(), old.end());
  std::vector<std::string> out;
  for (const auto& [key, value] : recipe_entries(now, "recipe")) {
    const auto it = left.find(key);
    const std::string was = it == left.end() ? "nothing" : it->second;
    if (was != value)
      out.push_back(
          fmt::format("{} was {}, this run has {}", key, printable(was), printable(value)));
    if (it != left.end()) left.erase(it);
  }
  for (const auto& [key, value] : left)
    out.push_back(fmt::format("{} was {}, this run has nothing", key, printable(value)));
  return out;
}

}  // namespace

void check_identity(const CheckpointContent& content, const RunIdentity& identity,
                    bool allow_inexact) {
  for (const auto& [key, expected] : identity_meta(identity)) {
    const auto it = content.meta.find(key);
    // Checkpoints of before GPUs do not name one.
    const char* missing = key == "device" ? kCpu : "nothing";
    const std::string found = it == content.meta.end() ? missing : it->second;
    if (found == expected) continue;
    const bool machine =
        key == "device" || key == "isa" || key == "threads" || key == "blas" || key == "version";
    if (machine && allow_inexact) continue;
    std::vector<std::string> what{
        fmt::format("{} was {}, this run has {}", key, printable(found), printable(expected))};
    if (key == "recipe") what = differing_keys(found, expected);
    throw_error(ErrorKind::checkpoint, "checkpoint: {}; the run cannot go on bit for bit{}",
                fmt::join(what, "; "), machine ? " (--allow-inexact goes on all the same)" : "");
  }
}

}  // namespace halftone
