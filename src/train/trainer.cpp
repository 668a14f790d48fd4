// The loop of training: forward, backward, update, one step at a time.
#include "halftone/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "halftone/tensor/numbers.h"
#include "halftone/train/schedule.h"

namespace halftone {
namespace {

// Of micro-batches of one size.
LossTerms mean(const std::vector<BatchLoss>& losses) {
  const double share = 1.0 / static_cast<double>(losses.size());
  LossTerms out;
  for (const BatchLoss& loss : losses) {
    const LossTerms terms = loss.terms();
    out.total += share * terms.total;
    out.kl += share * terms.kl;
    out.hidden += share * terms.hidden;
    out.labels += share * terms.labels;
  }
  return out;
}

}  // namespace

Trainer::Trainer(Decoder& student, Decoder* teacher, Batches& batches, const LossSettings& loss,
                 const TrainSettings& settings, int64_t max_steps, const LogitCache* cache)
    : student_(student),
      teacher_(teacher),
      batches_(batches),
      loss_(loss),
      settings_(settings),
      max_steps_(max_steps),
      cache_(cache) {
  student_.visit([&](Param& param) {
    const Tensor& value = param.value;
    params_.push_back(&param);
    moments_.push_back({Tensor::zeros(value.shape(), DType::f32, value.device()),
                        Tensor::zeros(value.shape(), DType::f32, value.device())});
  });
}

StepReport Trainer::step() {
  const auto start = std::chrono::steady_clock::now();
  StepReport report;
  for (Param* param : params_) param->grad.clear();
  std::vector<BatchLoss> losses;
  for (int64_t i = 0; i < settings_.gradient_accumulation_steps; ++i)
    losses.push_back(accumulate());
  report.loss = mean(losses);
  report.grad_norm = std::sqrt(squared_gradient_norm(params_).item());
  report.learning_rate = learning_rate_at(state_.step, max_steps_, settings_);
  report.skipped = !std::isfinite(report.loss.total) || !std::isfinite(report.grad_norm);
  if (!report.skipped) update(report);
  ++state_.step;
  if (report.skipped) count_skip();
  state_.cursor = batches_.cursor();
  report.step = state_.step;
  report.tokens = state_.tokens;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

// Forward and backward of one micro-batch; gradients add up in the parameters.
BatchLoss Trainer::accumulate() {
  const std::vector<int32_t> ids = batches_.next();
  const double share = 1.0 / static_cast<double>(settings_.gradient_accumulation_steps);
  TopLogProbs teacher_topk;
  if (cache_) teacher_topk = cache_->rows(batches_.given());
  Tape tape;
  BatchLoss batch =
      batch_loss(tape, student_, teacher_, ids, settings_.per_device_train_batch_size, loss_,
                 {cache_ ? &teacher_topk : nullptr, settings_.gradient_checkpointing});
  tape.backward(batch.loss, share);
  state_.tokens += static_cast<int64_t>(ids.size());
  return batch;
}

// Clip by the global norm, then AdamW.
void Trainer::update(StepReport& report) {
  const double clip = settings_.max_grad_norm > 0
                          ? std::min(1.0, settings_.max_grad_norm / (report.grad_norm + 1e-6))
                          : 1.0;
  const AdamWSettings adamw{settings_.adam_beta1, settings_.adam_beta2, settings_.adam_epsilon,
                            settings_.weight_decay};
  const Device device = student_.embedding.value.device();
  Tensor flips = Tensor::zeros({}, DType::f64, device),
         others = Tensor::zeros({}, DType::f64, device);
  int64_t latents = 0;
  for (size_t i = 0; i < params_.size(); ++i) {
    const bool latent = params_[i]->role == ParamRole::latent;
    adamw_step(*params_[i], moments_[i], state_.step + 1, report.learning_rate, clip, adamw,
               latent ? flips : others);
    if (latent) latents += params_[i]->value.numel();
  }
  report.sign_flip_rate = latents ? flips.item() / static_cast<double>(latents) : 0;
}

void Trainer::count_skip() {
  state_.skipped.push_back(state_.step);
  while (state_.skipped.front() <= state_.step - kSkipWindow) state_.skipped.pop_front();
  const int64_t count = static_cast<int64_t>(state_.skipped.size());
  const bool in_a_row =
      count > kMostSkippedInARow &&
      state_.skipped[count - 1 - kMostSkippedInARow] == state_.step - kMostSkippedInARow;
  if (in_a_row || count > kMostSkippedInWindow)
    throw_error(ErrorKind::numerical,
                "step {}: the loss or its gradient was not finite in {} of the last {} steps",
                state_.step, count, std::min(state_.step, kSkipWindow));
}

std::map<std::string, Tensor> Trainer::tensors() const {
  std::map<std::string, Tensor> out;
  for (size_t i = 0; i < params_.size(); ++i) {
    out["model/" + params_[i]->name] = params_[i]->value;
    out["optimizer/m/" + params_[i]->name] = moments_[i].m;
    out["optimizer/v/" + params_[i]->name] = moments_[i].v;
  }
  return out;
}

void Trainer::require_finite() const {
  for (const auto& [name, tensor] : tensors())
    if (count_non_finite(tensor.to(Device::cpu)) != 0)
      throw_error(ErrorKind::numerical,
                  "step {}: '{}' holds a number that is not finite; nothing was saved", state_.step,
                  name);
}

void Trainer::restore(const std::map<std::string, Tensor>& from, const TrainerState& state) {
  std::map<std::string, Tensor> own = tensors();
  for (const auto& [name, tensor] : from)
    if (!own.contains(name))
      throw_error(ErrorKind::checkpoint, "checkpoint: tensor '{}' has no place in this run's model",
                  printable(name));
  for (auto& [name, tensor] : own) {
    const auto it = from.find(name);
    if (it == from.end())
      throw_error(ErrorKind::checkpoint, "checkpoint: tensor '{}' is missing", name);
    if (it->second.shape() != tensor.shape() || it->second.dtype() != tensor.dtype())
      throw_error(ErrorKind::checkpoint,
                  "checkpoint: tensor '{}' is {} {}, this run's model has {} {}", name,
                  dtype_name(it->second.dtype()), shape_text(it->second.shape()),
                  dtype_name(tensor.dtype()), shape_text(tensor.shape()));
  }
  if (!batches_.holds(state.cursor))
    throw_error(ErrorKind::checkpoint,
                "checkpoint: it is at sequence {} of epoch {}, this run's text has fewer",
                state.cursor.position, state.cursor.epoch);
  for (auto& [name, tensor] : own) tensor.copy_from(from.at(name));
  state_ = state;
  batches_.seek(state.cursor);
}

int64_t planned_steps(const TrainSettings& s, int64_t sequences) {
  if (s.max_steps > 0) return s.max_steps;
  const double each =
      static_cast<double>(s.per_device_train_batch_size * s.gradient_accumulation_steps);
  return static_cast<int64_t>(
      std::ceil(s.num_train_epochs * static_cast<double>(sequences) / each));
}

}  // namespace halftone
