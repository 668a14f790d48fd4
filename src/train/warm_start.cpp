// Blocks that learn alone.
#include "halftone/train/warm_start.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "base/stopwatch.h"
#include "halftone/base/error.h"
#include "halftone/base/rng.h"
#include "halftone/io/json_numbers.h"
#include "halftone/io/strict_json.h"
#include "halftone/train/adamw.h"
#include "halftone/train/distillation.h"
#include "halftone/train/schedule.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

// The first `count` windows of N in an order that is drawn anew after each N.
std::vector<int64_t> drawn(int64_t count, int64_t n, uint64_t seed) {
  std::vector<int64_t> out;
  const uint64_t stream = static_cast<uint64_t>(RngStream::data_order) << 40;
  for (uint64_t pass = 0; static_cast<int64_t>(out.size()) < count; ++pass)
    for (const uint64_t window : permutation(static_cast<uint64_t>(n), seed, stream + pass))
      out.push_back(static_cast<int64_t>(window));
  return out;
}

// One behind the other.
Tensor windows_of(const Tensor& all, std::span<const int64_t> windows, int64_t length) {
  Tensor out = Tensor::uninitialized({static_cast<int64_t>(windows.size()) * length, all.dim(1)},
                                     all.dtype(), all.device());
  int64_t row = 0;
  for (const int64_t window : windows) {
    out.rows(row, row + length).copy_from(all.rows(window * length, (window + 1) * length));
    row += length;
  }
  return out;
}

double error_of(const Tensor& outputs, const Tensor& targets, HiddenKind kind) {
  Tape tape(Tape::Mode::no_grad);
  return hidden_error(tape.constant(outputs), targets, kind).value().item();
}

// The parameters of a block on a device, with what AdamW knows of them.
class TrainedBlock {
 public:
  TrainedBlock(Block& block, Device device, const TrainSettings& settings)
      : block_(block), device_(device), settings_(settings) {
    if (device_ != Device::cpu) block_.move_to(device_);
    block_.visit([&](Param& param) {
      param.grad.clear();
      params_.push_back(&param);
      before_.push_back(param.value.clone());
      moments_.push_back(no_moments(param.value));
    });
  }
  ~TrainedBlock() {
    if (device_ != Device::cpu) block_.move_to(Device::cpu);
  }

  // Number `step`, from 0, with the gradients that are there.
  void update(int64_t step, double rate) {
    const double norm = std::sqrt(squared_gradient_norm(params_));
    if (std::isfinite(norm)) {
      Tensor flips = Tensor::zeros({}, DType::f64, device_);
      adamw_step(params_, moments_, step + 1, rate, clip_factor(norm, settings_.max_grad_norm),
                 adamw_settings(settings_), flips);
    }
    for (Param* param : params_) param->grad.clear();
  }

  void take_back() {
    for (size_t i = 0; i < params_.size(); ++i) params_[i]->value.copy_from(before_[i]);
  }

 private:
  Block& block_;
  Device device_;
  const TrainSettings& settings_;
  std::vector<Param*> params_;
  std::vector<Tensor> before_;
  std::vector<Moments> moments_;
};

}  // namespace

WarmStartedBlock warm_start_block(Decoder& student, size_t index, Calibration& calibration,
                                  const Tensor& targets, const WarmStart& how) {
  require(calibration.ranks.alone() && targets.shape() == calibration.inputs.shape(),
          "warm_start_block: {} of {} ranks for {}", shape_text(targets.shape()),
          calibration.ranks.size(), shape_text(calibration.inputs.shape()));
  const Stopwatch stopwatch;
  const int64_t steps = how.settings.steps,
                batch = std::min(how.train.per_device_train_batch_size, calibration.sequences);
  TrainSettings schedule = how.train;
  schedule.learning_rate = how.settings.learning_rate;
  schedule.warmup_steps = 0;
  Tensor outputs = run_block(student, index, calibration);
  WarmStartedBlock report{.before = error_of(outputs, targets, how.error)};
  const std::vector<int64_t> order = drawn(steps * batch, calibration.sequences, how.seed);
  const Device device = calibration.inputs.device();
  TrainedBlock block(student.blocks[index], device, how.train);
  for (int64_t step = 0; step < steps; ++step) {
    how.go_on();
    const std::span<const int64_t> windows(order.data() + step * batch, static_cast<size_t>(batch));
    const auto rows = [&](const Tensor& all) {
      return windows_of(all, windows, calibration.length).to(student.activations);
    };
    Tape tape;
    const Var x = tape.constant(rows(calibration.inputs));
    tape.backward(hidden_error(student.block(tape, index, x, batch), rows(targets), how.error));
    block.update(step, learning_rate_at(step, steps, schedule));
  }
  Tensor learnt = run_block(student, index, calibration);
  report.after = error_of(learnt, targets, how.error);
  report.kept = report.after < report.before;
  if (!report.kept) block.take_back();
  calibration.inputs = report.kept ? learnt : outputs;
  report.seconds = stopwatch.seconds();
  return report;
}

std::string warm_start_json(const std::vector<WarmStartedBlock>& blocks) {
  Json list = Json::array();
  double seconds = 0;
  for (const WarmStartedBlock& block : blocks) {
    list.push_back({{"before", block.before},
                    {"after", block.after},
                    {"kept", block.kept},
                    {"seconds", block.seconds}});
    seconds += block.seconds;
  }
  return json_text({{"seconds", seconds}, {"blocks", list}});
}

std::vector<WarmStartedBlock> warm_started_blocks(const CheckpointContent& content) {
  const char* where = "checkpoint: meta 'warm_start'";
  std::vector<WarmStartedBlock> out;
  if (!content.meta.contains("warm_start")) return out;
  const nlohmann::json found = parse_strict_json(meta_text(content, "warm_start"), where);
  const auto member = [&](const nlohmann::json& object, const char* key) {
    if (!object.is_object() || !object.contains(key))
      throw_error(ErrorKind::checkpoint, "{}: found {}, an object with '{}' expected", where,
                  printable(object.dump()), key);
    return object.at(key);
  };
  const auto number = [&](const nlohmann::json& block, const char* key) {
    const nlohmann::json value = member(block, key);
    if (const std::optional<double> number = json_number(value)) return *number;
    throw_error(ErrorKind::checkpoint, "{}: {}: found {}, a number expected", where, key,
                printable(value.dump()));
  };
  for (const nlohmann::json& block : member(found, "blocks"))
    out.push_back({.before = number(block, "before"),
                   .after = number(block, "after"),
                   .kept = member(block, "kept") == true,
                   .seconds = number(block, "seconds")});
  return out;
}

}  // namespace halftone
