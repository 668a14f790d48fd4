#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "halftone/app/commands.h"
#include "halftone/app/console.h"
#include "halftone/app/inputs.h"
#include "halftone/app/teacher_logits.h"
#include "halftone/model/spec.h"
#include "halftone/ops/head_loss.h"
#include "halftone/quant/low_bit_matrix.h"
#include "halftone/train/trainer.h"

namespace halftone {
namespace {

constexpr double kMegabyte = 1e6;

// What a run needs in memory, bytes, by part.
struct MemoryPlan {
  double teacher = 0, student = 0, activations = 0, of_block = 0, logits = 0, gradients = 0;
  // Gradients take the place of the activations as backward frees them, down to those of a block.
  double total() const {
    return teacher + student + std::max(activations + logits, gradients + of_block);
  }
};

int64_t scales(const ModelConfig& c) {
  const int64_t h = c.hidden_size, q = c.num_attention_heads * c.head_dim,
                kv = c.num_key_value_heads * c.head_dim, f = c.intermediate_size;
  return c.num_hidden_layers * (2 * (h + q) + 2 * (h + kv) + 3 * (h + f));
}

// Numbers a token that one block of the student keeps for backward: the norms' inputs and outputs,
// the rotated heads, what attention mixed, the MLP's gate, up and product; with a layer
// normalisation behind the linears also its output, where nothing else keeps it; the teacher's
// hidden state.
int64_t kept_numbers(const ModelConfig& c, bool teacher, bool post_layer_norm) {
  const int64_t h = c.hidden_size, q = c.num_attention_heads * c.head_dim,
                kv = c.num_key_value_heads * c.head_dim, f = c.intermediate_size;
  return 4 * h + 2 * (q + kv) + 3 * f + (post_layer_norm ? q + kv + 2 * h : 0) + (teacher ? h : 0);
}

// Stored bits a weight over all linears of a block; binary methods at 8 % salient columns.
double planned_linear_bits(PtqMethod method, const PtqSettings& s, const ModelConfig& c) {
  LowBitLayout layout{.bits = s.bits,
                      .group_size = s.group_size,
                      .symmetric = s.symmetric,
                      .ordered = method == PtqMethod::gptq && s.act_order};
  if (method == PtqMethod::xnor) layout = {.scheme = LowBitLayout::Scheme::binary};
  if (method >= PtqMethod::billm)
    layout = {.scheme = LowBitLayout::Scheme::binary,
              .blocksize = s.blocksize,
              .row_column = method == PtqMethod::arb_rc,
              .partitioned = true,
              .cgb = s.cgb,
              .num_p = s.num_p};
  const int64_t h = c.hidden_size, q = c.num_attention_heads * c.head_dim,
                kv = c.num_key_value_heads * c.head_dim, f = c.intermediate_size;
  double bits = 0, weights = 0;
  for (const auto& [n, m] : {std::pair{q, h}, {kv, h}, {kv, h}, {h, q}, {f, h}, {f, h}, {h, f}}) {
    bits +=
        static_cast<double>(planned_bits(layout, n, m, std::lround(0.08 * static_cast<double>(m))));
    weights += static_cast<double>(n * m);
  }
  return bits / weights;
}

MemoryPlan plan_memory(const Recipe& r, const ModelOutline& outline, int64_t parameters) {
  const ModelConfig& c = outline.config;
  // A cached teacher is gone before the student takes the most.
  const bool trained = is_trained(r.run.method),
             teacher = r.run.method != Method::pretrain && r.teacher.cache_top_k == 0;
  const double tokens =
      static_cast<double>(r.train.per_device_train_batch_size * r.data.max_seq_length);
  MemoryPlan plan;
  const bool halves = r.teacher.dtype == WeightDtype::f16 ||
                      (r.teacher.dtype != WeightDtype::f32 && outline.stored_as_f16);
  if (teacher) plan.teacher = (halves ? 2.0 : 4.0) * static_cast<double>(parameters);
  if (ptq_method(r.run.method)) {
    // A dense copy, the activations before and after a block, and F64 matrices of the widest
    // linear: the Hessians of a block, the damped one, its factor, the weight twice.
    const double widest = static_cast<double>(std::max(c.intermediate_size, c.hidden_size)),
                 hidden = static_cast<double>(c.hidden_size),
                 tokens = static_cast<double>(r.calibration.num_calibration_samples *
                                              r.calibration.max_seq_length);
    plan.student = 4.0 * static_cast<double>(parameters);
    plan.activations = 3 * 4.0 * tokens * hidden +
                       8.0 * (3 * hidden * hidden + 4 * widest * widest + 2 * widest * hidden);
    return plan;
  }
  if (!trained) return plan;
  plan.student = 12.0 * static_cast<double>(parameters);  // weight and two moments in F32
  plan.gradients = 4.0 * static_cast<double>(parameters);
  const bool onebit = r.run.method == Method::onebit;
  const double layers = static_cast<double>(c.num_hidden_layers);
  plan.of_block =
      4.0 * tokens *
      static_cast<double>(kept_numbers(c, teacher, onebit && r.student.post_layer_norm));
  plan.activations = layers * plan.of_block;
  if (r.train.gradient_checkpointing)  // the inputs of the blocks, in place of one the whole block
    plan.activations =
        4.0 * tokens * layers * static_cast<double>((teacher ? 2 : 1) * c.hidden_size) +
        plan.of_block;
  const double chunk = std::min(tokens, static_cast<double>(head_chunk_tokens(c.vocab_size)));
  plan.logits = 4.0 * chunk * static_cast<double>(c.vocab_size) * (teacher ? 2 : 1) +
                4.0 * static_cast<double>(c.vocab_size * c.hidden_size);
  return plan;
}

// Operations of all steps: 6 a weight and token of the student, 8 where it computes its blocks
// twice, 2 of the teacher; of a cached teacher those over the text, once.
double planned_flop(const Recipe& r, int64_t parameters, int64_t tokens, int64_t cached_tokens) {
  const bool teacher = r.run.method == Method::onebit && r.teacher.cache_top_k == 0;
  const double each = 6.0 + (r.train.gradient_checkpointing ? 2.0 : 0.0) + (teacher ? 2.0 : 0.0);
  return static_cast<double>(parameters) *
         (static_cast<double>(tokens) * each + 2.0 * static_cast<double>(cached_tokens));
}

// What the finished model can be exported as.
void print_exports(const Recipe& recipe) {
  if (recipe.run.method == Method::none) return;
  const std::string obstacle =
      hf_export_obstacle(recipe.run.method == Method::onebit && recipe.student.post_layer_norm);
  print("# export             hf: {}\n",
        obstacle.empty() ? "yes" : "no, each 1-bit linear " + obstacle);
}

void print_warnings(const Recipe& recipe, const RunInputs& inputs, const std::string& directory,
                    double memory) {
  for (const std::string& warning : inputs.warnings) say("warning: {}\n", warning);
  if (!checkpoint_files(directory).empty())
    say("warning: {} holds checkpoints of an earlier run; `run` refuses, `resume` "
        "goes on\n",
        directory);
  const double machine =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  if (memory > machine)
    say("warning: {} needs {:.0f} MB of memory, this machine has {:.0f}\n", recipe.run.name,
        memory / kMegabyte, machine / kMegabyte);
}

}  // namespace

int check_command(const std::string& path, const std::vector<std::string>& overrides) {
  const Recipe recipe = read_recipe(path, overrides);
  const std::string directory = recipe.run.output_dir + "/" + recipe.run.name;
  const RunInputs inputs = read_inputs(recipe, directory);
  const ModelConfig& config = inputs.teacher.config;
  const int64_t parameters = parameter_count(config);
  const int64_t linears = block_linear_weights(config);
  const MemoryPlan plan = plan_memory(recipe, inputs.teacher, parameters);
  print("{}\n", write_recipe(recipe));
  print("# parameters         {} ({} in the block linears)\n", parameters, linears);
  if (recipe.run.method == Method::onebit)
    print("# bits a weight      {:.4f} in the linears, {:.3f} over the whole file\n",
          1.0 + 16.0 * static_cast<double>(scales(config)) / static_cast<double>(linears),
          (static_cast<double>(linears) +
           16.0 * static_cast<double>(scales(config) + parameters - linears)) /
              static_cast<double>(parameters));
  if (const auto method = ptq_method(recipe.run.method))
    print("# bits a weight      {:.4f} in the linears{}\n",
          planned_linear_bits(*method, recipe.ptq.ptq, config),
          *method < PtqMethod::billm ? "" : ", if 8 % of the columns are salient");
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
        planned_teacher_logits(recipe, config, planned_sequences(recipe, inputs));
    cached_tokens = cache.sequences * cache.length;
    print("# teacher's logits   {}{} bytes on disk: {} likeliest ids of {} tokens\n",
          recipe.data.generate_present ? "at most " : "", cache.bytes(), cache.top_k,
          cached_tokens);
  }
  print_exports(recipe);
  print_warnings(recipe, inputs, directory, plan.total());
  if (steps > 0) {
    const double flop = planned_flop(recipe, parameters, steps * step_tokens, cached_tokens);
    print("# work               {:.3g} FLOP; {:.0f} s at 100 GFLOP/s\n", flop, flop / 1e11);
  }
  return 0;
}

}  // namespace halftone
