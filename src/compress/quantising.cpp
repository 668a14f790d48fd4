// The loop of a post-training run: a block, its log, from time to time a checkpoint.
#include "halftone/compress/quantising.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/stopwatch.h"
#include "halftone/base/error.h"
#include "halftone/io/json_numbers.h"
#include "halftone/io/strict_json.h"
#include "halftone/tensor/memory.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kKeptCheckpoints = 1;

std::string layers_json(const std::vector<QuantisedLinear>& layers) {
  Json out = Json::array();
  for (const QuantisedLinear& layer : layers) out.push_back({layer.name, layer.relative_error});
  return json_text(out);
}

// A parameter of one of the first `done` blocks.
bool is_done(const DecoderSpec& spec, size_t done, const std::string& name) {
  return std::any_of(spec.blocks.begin(), spec.blocks.begin() + static_cast<std::ptrdiff_t>(done),
                     [&](const BlockSpec& block) {
                       return std::ranges::any_of(block.slots, [&](const Slot& slot) {
                         return name.starts_with(slot.hf + ".");
                       });
                     });
}

// The blocks done so far: their tensors, the next block's inputs (of all ranks), the errors
// measured.
CheckpointContent block_content(const RunContext& run, LoadedModel& student, size_t done,
                                const Tensor& inputs, const QuantisingResult& result) {
  CheckpointContent content;
  content.meta = run.identity;
  add_model_meta(content, student.decoder, student.config);
  for (const auto& [name, tensor] : packed_weights(student.decoder))
    if (is_done(student.decoder.spec, done, name)) content.tensors["model/" + name] = tensor;
  content.tensors["state/inputs"] = inputs;
  content.meta["kind"] = "quantising";
  content.meta["step"] = std::to_string(done);
  content.meta["layers"] = layers_json(result.layers);
  return content;
}

// What block_content wrote of them.
std::vector<QuantisedLinear> layers_of(const CheckpointContent& content) {
  const char* where = "checkpoint: meta 'layers'";
  std::vector<QuantisedLinear> out;
  const nlohmann::json layers = parse_strict_json(meta_text(content, "layers"), where);
  for (const auto& layer : layers.is_array() ? layers : nlohmann::json::array({layers})) {
    const bool pair = layer.is_array() && layer.size() == 2 && layer[0].is_string();
    const std::optional<double> error = pair ? json_number(layer[1]) : std::nullopt;
    if (!error)
      throw_error(ErrorKind::checkpoint, "{}: found {}, a list of names and numbers expected",
                  where, printable(layer.dump()));
    out.push_back({layer[0].get<std::string>(), *error});
  }
  return out;
}

// Puts the finished blocks of a checkpoint into the student: the dense weights of its other blocks
// stay. Returns how many there are.
size_t restore_blocks(const CheckpointContent& content, LoadedModel& student,
                      Calibration& calibration, QuantisingResult& result) {
  const auto done = static_cast<size_t>(meta_number(content, "step"));
  const auto inputs = content.tensors.find("state/inputs");
  const Shape expected{calibration.sequences * calibration.length,
                       student.decoder.spec.hidden_size};
  if (inputs == content.tensors.end() || inputs->second.shape() != expected ||
      inputs->second.dtype() != calibration.inputs.dtype() || done > student.decoder.blocks.size())
    throw_error(ErrorKind::checkpoint, "checkpoint: its blocks do not fit this recipe");
  CheckpointContent whole = content;
  for (const auto& [name, tensor] : weights_of(student.decoder))
    if (!is_done(student.decoder.spec, done, name)) whole.tensors["model/" + name] = tensor;
  student.decoder = decoder_of(whole, student.config);
  calibration.inputs = calibration.own(inputs->second);
  result.layers = layers_of(content);
  return done;
}

std::string log_line(size_t done, const BlockReport& report) {
  Json line{{"step", done}};
  for (const QuantisedLinear& linear : report.linears)
    line["relative_error"][linear.name] = linear.relative_error;
  if (report.tweak)
    line["norm_tweak"] = {{"before", report.tweak->before},
                          {"after", report.tweak->after},
                          {"kept", report.tweak->kept}};
  line["seconds"] = {{"calibrate", report.calibrate_seconds},
                     {"quantise", report.quantise_seconds}};
  line["rss_bytes"] = rss_bytes();
  return json_text(line);
}

// Whether the blocks done are worth a checkpoint: it holds the activations of the whole
// calibration, which on a GPU may take longer to write than a block takes. Where that is not quick,
// it is to take a tenth of the time at most.
class Saving {
 public:
  bool due() const { return seconds_ < 0.1 || since_last_.seconds() > 10 * seconds_; }
  void took(double seconds) {
    seconds_ = seconds;
    since_last_ = {};
  }

 private:
  double seconds_ = 0;  // of the last one
  Stopwatch since_last_;
};

double mean_error(const BlockReport& report) {
  double sum = 0;
  for (const QuantisedLinear& linear : report.linears) sum += linear.relative_error;
  return sum / static_cast<double>(report.linears.size());
}

}  // namespace

QuantisingResult run_quantising(const RunContext& run, LoadedModel& student,
                                const PtqMethod& method, const CompressSettings& settings,
                                Calibration calibration, std::optional<CheckpointContent> from) {
  QuantisingResult result;
  const size_t blocks = student.decoder.blocks.size();
  size_t done = 0;
  run.ranks.together([&] {
    if (from) done = restore_blocks(*from, student, calibration, result);
  });
  from.reset();  // its tensors are in their places
  Saving saving;
  run.ranks.first_does([&] { run.directory.rewind(static_cast<int64_t>(done), kKeptCheckpoints); });
  while (done < blocks && !result.interrupted) {
    const BlockReport report = quantise_block(student.decoder, done, calibration, method, settings);
    ++done;
    result.layers.insert(result.layers.end(), report.linears.begin(), report.linears.end());
    result.calibrate_seconds += report.calibrate_seconds;
    result.quantise_seconds += report.quantise_seconds;
    const auto step = static_cast<int64_t>(done);
    run.progress(step, fmt::format("mean relative error {:.4f}", mean_error(report)));
    result.interrupted = run.ranks.any(run.stop()) && done < blocks;
    run.ranks.first_does([&] {
      run.directory.append_log(log_line(done, report));
      run.directory.flush_log();
    });
    const bool ends = done == blocks || result.interrupted;
    if (!run.ranks.any(run.ranks.first() && (ends || saving.due()))) continue;
    const Stopwatch writing;
    const Tensor inputs = calibration.whole(calibration.inputs);
    run.ranks.first_does([&] {
      write_checkpoint_file(run.directory.checkpoint_file(step),
                            block_content(run, student, done, inputs, result));
      run.directory.remove_old_checkpoints(step, kKeptCheckpoints);
    });
    saving.took(writing.seconds());
  }
  release_kept_memory();
  return result;
}

}  // namespace halftone
