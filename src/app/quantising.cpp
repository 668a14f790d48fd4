#include "halftone/app/quantising.h"

#include <nlohmann/json.hpp>

#include "halftone/app/console.h"
#include "halftone/app/interrupt.h"
#include "halftone/app/progress.h"
#include "halftone/base/error.h"
#include "halftone/compress/ptq.h"
#include "halftone/io/json_numbers.h"
#include "halftone/io/strict_json.h"
#include "halftone/tensor/memory.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kKeptCheckpoints = 1;

std::string layers_json(const std::vector<LayerError>& layers) {
  Json out = Json::array();
  for (const LayerError& layer : layers) out.push_back({layer.name, layer.relative_error});
  return json_text(out);
}

// The blocks done so far: their tensors, the next block's inputs, the errors measured.
CheckpointContent block_content(LoadedModel& student, size_t done, const Calibration& calibration,
                                const QuantisingResult& result, const RunIdentity& identity) {
  CheckpointContent content;
  content.meta = identity_meta(identity);
  add_model_meta(content, student.decoder, student.config);
  for (const auto& [name, tensor] : packed_weights(student.decoder))
    for (size_t i = 0; i < done; ++i)
      if (name.starts_with(fmt::format("model.layers.{}.", i)))
        content.tensors["model/" + name] = tensor;
  content.tensors["state/inputs"] = calibration.inputs;
  content.meta["kind"] = "quantising";
  content.meta["step"] = std::to_string(done);
  content.meta["layers"] = layers_json(result.layers);
  return content;
}

// What block_content wrote of them.
std::vector<LayerError> layers_of(const CheckpointContent& content) {
  const char* where = "checkpoint: meta 'layers'";
  const auto found = content.meta.find("layers");
  if (found == content.meta.end()) throw_error(ErrorKind::checkpoint, "{} is missing", where);
  std::vector<LayerError> out;
  const nlohmann::json layers = parse_strict_json(found->second, where);
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
  const int64_t done = meta_number(content, "step");
  const auto inputs = content.tensors.find("state/inputs");
  if (inputs == content.tensors.end() || inputs->second.shape() != calibration.inputs.shape() ||
      inputs->second.dtype() != calibration.inputs.dtype() ||
      done > static_cast<int64_t>(student.decoder.blocks.size()))
    throw_error(ErrorKind::checkpoint, "checkpoint: its blocks do not fit this recipe");
  CheckpointContent whole = content;
  for (const auto& [name, tensor] : weights_of(student.decoder)) {
    bool restored = false;
    for (int64_t i = 0; i < done; ++i)
      restored = restored || name.starts_with(fmt::format("model.layers.{}.", i));
    if (!restored) whole.tensors["model/" + name] = tensor;
  }
  student.decoder = decoder_of(whole, student.config);
  calibration.inputs = inputs->second;
  result.layers = layers_of(content);
  return static_cast<size_t>(done);
}

size_t resume_blocks(const RunDirectory& directory, const RunIdentity& identity,
                     const RunOptions& options, LoadedModel& student, Calibration& calibration,
                     QuantisingResult& result) {
  const auto content = directory.newest_content();
  if (!content) {
    say("no whole checkpoint: starting from the first block\n");
    return 0;
  }
  check_identity(*content, identity, options.allow_inexact);
  return restore_blocks(*content, student, calibration, result);
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

double mean_error(const BlockReport& report) {
  double sum = 0;
  for (const QuantisedLinear& linear : report.linears) sum += linear.relative_error;
  return sum / static_cast<double>(report.linears.size());
}

}  // namespace

QuantisingResult quantise_model(const Recipe& recipe, const RunOptions& options,
                                const RunDirectory& directory, LoadedModel& student,
                                const CalibrationText& text, const RunIdentity& identity) {
  QuantisingResult result;
  Decoder& model = student.decoder;
  Calibration calibration = start_calibration(model, text.tokens, text.sequences);
  const size_t blocks = model.blocks.size();
  size_t done = options.resume
                    ? resume_blocks(directory, identity, options, student, calibration, result)
                    : 0;
  directory.rewind(static_cast<int64_t>(done), kKeptCheckpoints);
  Progress progress(method_name(recipe.run), static_cast<int64_t>(blocks), options.quiet,
                    static_cast<int64_t>(done));
  while (done < blocks && !result.interrupted) {
    const BlockReport report =
        quantise_block(model, done, calibration, *recipe.run.ptq, recipe.ptq);
    ++done;
    for (const QuantisedLinear& linear : report.linears)
      result.layers.push_back({linear.name, linear.relative_error});
    result.calibrate_seconds += report.calibrate_seconds;
    result.quantise_seconds += report.quantise_seconds;
    directory.append_log(log_line(done, report));
    progress.update(static_cast<int64_t>(done),
                    fmt::format("mean relative error {:.4f}", mean_error(report)));
    result.interrupted = interrupted() && done < blocks;
    directory.flush_log();
    write_checkpoint_file(directory.checkpoint_file(static_cast<int64_t>(done)),
                          block_content(student, done, calibration, result, identity));
    directory.remove_old_checkpoints(static_cast<int64_t>(done), kKeptCheckpoints);
  }
  progress.finish();
  release_kept_memory();
  return result;
}

}  // namespace halftone
