#include <unistd.h>

#include <algorithm>

#include "app/commands.h"
#include "app/console.h"
#include "app/inputs.h"
#include "app/rank_plans.h"
#include "app/teacher_logits.h"
#include "halftone/base/error.h"
#include "halftone/model/plan.h"
#include "halftone/model/spec.h"
#include "halftone/model/student_exports.h"
#include "halftone/tensor/device.h"
#include "halftone/train/trainer.h"

namespace halftone {
namespace {

constexpr double kMegabyte = 1e6;

// A weight of the teacher in memory.
double teacher_bytes(const Recipe& r, const ModelOutline& teacher) {
  const bool halves = r.teacher.dtype == WeightDtype::f16 ||
                      (r.teacher.dtype != WeightDtype::f32 && teacher.stored_as_f16);
  return halves ? 2 : 4;
}

bool on_gpu(const Recipe& r) {
  return gpu_index(r.run.device).has_value();
}

// Of the machine, or of its GPU where the recipe runs there.
double memory_there(const Recipe& r) {
  if (on_gpu(r)) return static_cast<double>(gpu_memory_bytes());
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
}

constexpr double kSalient = 0.08;  // of the columns, as BiLLM finds them

TrainingShape training_shape(const Recipe& r, const ModelOutline& teacher) {
  const bool onebit = r.run.method == Method::onebit, gpu = on_gpu(r),
             bf16 = r.train.precision == Precision::bf16;
  return {.tokens = r.train.per_device_train_batch_size * r.data.max_seq_length,
          // A cached teacher is gone before the student takes the most.
          .teacher = onebit && r.teacher.cache_top_k == 0,
          // A GPU keeps it in what it multiplies in.
          .teacher_bytes = gpu ? (bf16 ? 2.0 : 4.0) : teacher_bytes(r, teacher),
          .post_layer_norm = onebit && r.student.post_layer_norm,
          .gradient_checkpointing = r.train.gradient_checkpointing,
          .device = gpu ? Device::cuda : Device::cpu,
          .number_bytes = bf16 ? 2.0 : 4.0};
}

MemoryPlan plan_memory(const Recipe& r, const ModelOutline& teacher, const DecoderSpec& spec) {
  if (is_trained(r.run.method)) return plan_training(spec, training_shape(r, teacher));
  if (r.run.ptq)
    return plan_quantising(spec, teacher_bytes(r, teacher),
                           r.calibration.num_calibration_samples * r.calibration.max_seq_length);
  return {.teacher = teacher_bytes(r, teacher) * static_cast<double>(parameter_count(spec))};
}

void print_bits(const Recipe& recipe, const DecoderSpec& spec) {
  if (recipe.run.method == Method::onebit) {
    const BitsPlan bits = plan_onebit(spec, recipe.student);
    print("# bits a weight      {:.4f} in the linears, {:.3f} over the whole file\n", bits.linears,
          bits.file);
  }
  if (!recipe.run.ptq) return;
  const LowBitLayout layout = recipe.run.ptq->layout(recipe.ptq.ptq);
  const auto* binary = std::get_if<BinaryLayout>(&layout);
  const bool partitioned = binary && binary->partitioned;
  print("# bits a weight      {:.4f} in the linears{}\n", plan_low_bits(spec, layout, kSalient),
        partitioned ? fmt::format(", if {:.0f} % of the columns are salient", 100 * kSalient) : "");
}

// What is read to train on, and what is held out.
void print_data(const Recipe& recipe, const SourcedText& text) {
  for (const SourceFigures& source : text.sources)
    print("# data               {} tokens ({:.1f} %) of {} documents, {:.2f} passes: {}{}\n",
          source.tokens,
          100 * static_cast<double>(source.tokens) /
              static_cast<double>(std::max<int64_t>(1, text.tokens.size())),
          source.documents, source.passes, printable(source.settings.path),
          source.settings.typography == Typography::wikitext ? ", as WikiText is set" : "");
  if (recipe.data.held_out > 0)
    print("# held out           {} tokens of {} documents\n", text.held_out.size(),
          text.held_out_documents);
}

// How a student starts on calibration windows.
void print_start(const Recipe& r, const DecoderSpec& spec) {
  if (r.run.method != Method::onebit || !calibrates(r)) return;
  const int64_t windows = r.calibration.num_calibration_samples,
                length = r.calibration.max_seq_length, steps = r.warm_start.steps,
                batch = std::min(r.train.per_device_train_batch_size, windows);
  print("# start              {} on {} windows of {} tokens",
        r.student.start == StudentStart::arb_rc ? "arb-rc" : "svid", windows, length);
  if (steps > 0)
    print(", then {} steps a block on {} of them ({:.3g} FLOP)", steps, batch,
          6.0 * static_cast<double>(block_linear_weights(spec)) *
              static_cast<double>(steps * batch * length));
  print("; {:.0f} MB beside the models\n",
        plan_start(spec, r.student.start, steps > 0, windows * length) / kMegabyte);
}

// What the finished model can be exported as.
void print_exports(const Recipe& recipe, const ModelConfig& config) {
  if (recipe.run.method == Method::none) return;
  if (recipe.run.method != Method::onebit)
    return print("# export             hf, gguf, packed: yes\n");
  for (const ExportVerdict& verdict : student_exports(config, recipe.student))
    print("# export             {}: {}{}{}\n", verdict.format, verdict.possible ? "yes" : "no",
          verdict.detail.empty() ? "" : ", ", verdict.detail);
}

void print_warnings(const Recipe& recipe, const RunInputs& inputs, const std::string& directory,
                    double memory) {
  for (const std::string& warning : inputs.warnings) say("warning: {}\n", warning);
  if (!checkpoint_files(directory).empty())
    say("warning: {} holds checkpoints of an earlier run; `run` refuses, `resume` "
        "goes on\n",
        directory);
  const double there = memory_there(recipe);
  if (memory > there)
    say("warning: {} needs {:.0f} MB of memory, {} has {:.0f}\n", recipe.run.name,
        memory / kMegabyte, on_gpu(recipe) ? "the GPU" : "this machine", there / kMegabyte);
}

}  // namespace

int check_command(const std::string& path, const std::vector<std::string>& overrides,
                  const CheckOptions& options) {
  const Recipe recipe = read_recipe(path, overrides);
  if (options.ranks > 0 && !is_trained(recipe.run.method))
    throw_error(ErrorKind::recipe, "--ranks: a trained method expected, run.method is {}",
                method_name(recipe.run));
  const bool elsewhere = options.memory.has_value();
  if (elsewhere) memory_size(*options.memory);
  const std::string directory = recipe.run.output_dir + "/" + recipe.run.name;
  const RunInputs inputs = read_inputs(recipe, directory, false, 1, elsewhere);
  const DecoderSpec spec = decoder_spec(inputs.teacher.config);
  const MemoryPlan plan = plan_memory(recipe, inputs.teacher, spec);
  print("{}\n", write_recipe(recipe));
  print("# parameters         {} ({} in the block linears)\n", parameter_count(spec),
        block_linear_weights(spec));
  print_bits(recipe, spec);
  print_data(recipe, inputs.training);
  print_start(recipe, spec);
  const int64_t steps = is_trained(recipe.run.method)
                            ? planned_steps(recipe.train, planned_sequences(recipe, inputs))
                            : 0;
  const int64_t step_tokens = recipe.train.per_device_train_batch_size *
                              recipe.train.gradient_accumulation_steps * recipe.data.max_seq_length;
  if (steps > 0) print("# tokens             {} steps of {}\n", steps, step_tokens);
  print(
      "# memory             {:.0f} MB: teacher {:.0f}, student (and optimiser) {:.0f}, "
      "then activations {:.0f} and head {:.0f}, or gradients {:.0f}\n",
      plan.total() / kMegabyte, plan.teacher / kMegabyte, plan.student / kMegabyte,
      plan.activations / kMegabyte, plan.logits / kMegabyte, plan.gradients / kMegabyte);
  int64_t cached_tokens = 0;
  if (recipe.teacher.cache_top_k > 0) {
    const LogitCacheSpec cache =
        planned_teacher_logits(recipe, inputs.teacher.config, planned_sequences(recipe, inputs));
    cached_tokens = cache.sequences * cache.length;
    print("# teacher's logits   {}{} bytes on disk: {} likeliest ids of {} tokens\n",
          recipe.data.generate_present ? "at most " : "", cache.bytes(), cache.top_k,
          cached_tokens);
  }
  print_exports(recipe, inputs.teacher.config);
  print_warnings(recipe, inputs, directory, elsewhere ? 0 : plan.total());
  if (steps > 0) {
    const double flop =
        plan_flop(spec, training_shape(recipe, inputs.teacher), steps * step_tokens, cached_tokens);
    print("# work               {:.3g} FLOP; {:.0f} s at 100 GFLOP/s\n", flop, flop / 1e11);
    const TrainingShape shape = training_shape(recipe, inputs.teacher);
    if (options.ranks > 0) print_ranks(recipe, spec, shape, options);
    if (elsewhere) print_placements(recipe, spec, shape, options);
  }
  return 0;
}

}  // namespace halftone
