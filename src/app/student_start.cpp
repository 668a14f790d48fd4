#include "app/student_start.h"

#include "app/interrupt.h"
#include "app/progress.h"
#include "app/text_tokens.h"
#include "halftone/compress/onebit_start.h"
#include "halftone/io/json_numbers.h"
#include "halftone/model/spec.h"
#include "halftone/tensor/device.h"
#include "halftone/tensor/memory.h"

namespace halftone {
namespace {

LoadedModel copy_of(const LoadedModel& teacher) {
  auto& decoder = const_cast<Decoder&>(teacher.decoder);
  LoadedModel out;
  out.config = teacher.config;
  out.decoder = build_decoder(decoder.spec, trainable_copy(weights_of(decoder)));
  return out;
}

// Lines of a start are of step 0.
std::string log_line(int64_t block, const WarmStartedBlock& r) {
  return json_text({{"step", 0},
                    {"warm_start",
                     {{"block", block},
                      {"before", r.before},
                      {"after", r.after},
                      {"kept", r.kept},
                      {"seconds", r.seconds}}},
                    {"rss_bytes", rss_bytes()}});
}

}  // namespace

LoadedModel start_student(const Recipe& recipe, const ModelConfig& config,
                          const LoadedModel* teacher) {
  if (!teacher) {
    LoadedModel student;
    student.config = config;
    const DecoderSpec spec = decoder_spec(config);
    student.decoder =
        build_decoder(spec, random_weights(spec, static_cast<uint64_t>(recipe.run.seed)));
    return student;
  }
  LoadedModel student = copy_of(*teacher);
  StudentSettings settings = recipe.student;
  settings.start = StudentStart::svid;
  if (recipe.run.method == Method::onebit) start_onebit(student.decoder, settings);
  return student;
}

LoadedModel start_on_windows(const Recipe& recipe, const RunOptions& options,
                             const RunDirectory& directory, RunInputs& inputs,
                             const LoadedModel& teacher, std::vector<WarmStartedBlock>& blocks) {
  const Ranks& ranks = options.ranks;
  const CalibrationText text =
      calibration_text(recipe, options, *inputs.tokenizer, std::move(inputs.calibration), teacher);
  LoadedModel out = copy_of(teacher);
  Decoder& student = out.decoder;
  const WarmStart warm_start{.settings = recipe.warm_start,
                             .error = recipe.loss.hidden_kind,
                             .train = recipe.train,
                             .seed = static_cast<uint64_t>(recipe.run.seed),
                             .go_on = [&] {
                               if (ranks.any(interrupted())) throw Interrupted();
                             }};
  ranks.first_does([&] { directory.rewind(-1, recipe.train.save_total_limit); });
  Progress progress("start", static_cast<int64_t>(student.blocks.size()), options.quiet);
  Calibration chain =
      start_calibration(student, text.tokens, text.sequences, use_device(recipe.run.device));
  if (recipe.train.precision == Precision::bf16) student.activations = DType::bf16;
  const auto started = [&](size_t index, const Tensor& teacher_outputs) {
    warm_start.go_on();
    const auto done = static_cast<int64_t>(index) + 1;
    if (recipe.warm_start.steps == 0) return progress.update(done, "");
    blocks.push_back(warm_start_block(student, index, chain, teacher_outputs, warm_start));
    const WarmStartedBlock& block = blocks.back();
    progress.update(done, fmt::format("error {:.4g} -> {:.4g}", block.before, block.after));
    ranks.first_does([&] { directory.append_log(log_line(done, block)); });
  };
  start_onebit(student, recipe.student, chain, started);  // which has a chain of its own
  progress.finish();
  release_kept_memory();
  return out;
}

}  // namespace halftone
