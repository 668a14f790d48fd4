// The loop of training: forward, backward, update, one step at a time.
#include "halftone/train/trainer.h"

#include <algorithm>
#include <cmath>

#include "base/stopwatch.h"
#include "halftone/tensor/memory.h"
#include "halftone/tensor/numbers.h"
#include "halftone/train/schedule.h"

namespace halftone {
namespace {

std::vector<Param*> params_of(Decoder& decoder) {
  std::vector<Param*> out;
  decoder.visit([&](Param& param) { out.push_back(&param); });
  return out;
}

// The last parameter in front of the blocks, and of each block.
std::vector<const Param*> ends_of(Decoder& decoder, const std::vector<Param*>& params) {
  std::vector<const Param*> out;
  for (Block& block : decoder.blocks) {
    const Param *first = nullptr, *last = nullptr;
    block.visit([&](Param& param) {
      if (!first) first = &param;
      last = &param;
    });
    if (out.empty()) out.push_back(*(std::ranges::find(params, first) - 1));
    out.push_back(last);
  }
  return out;
}

// While it lives blocks call `hold` before they run.
class BlocksHeld {
 public:
  BlocksHeld(Decoder& decoder, const std::function<void(size_t)>& hold) : decoder_(decoder) {
    decoder_.hold_block = [hold](size_t index) {
      hold(index);
      return nullptr;
    };
  }
  ~BlocksHeld() { decoder_.hold_block = nullptr; }
  BlocksHeld(const BlocksHeld&) = delete;
  BlocksHeld& operator=(const BlocksHeld&) = delete;

 private:
  Decoder& decoder_;
};

}  // namespace

Trainer::Trainer(Decoder& student, Decoder* teacher, Batches& batches, const LossSettings& loss,
                 const TrainSettings& settings, int64_t max_steps, const LogitCache* cache,
                 Ranks ranks, Trace trace)
    : student_(student),
      teacher_(teacher),
      batches_(batches),
      loss_(loss),
      settings_(settings),
      max_steps_(max_steps),
      cache_(cache),
      ranks_(std::move(ranks)),
      trace_(std::move(trace)),
      params_(params_of(student)),
      ends_(ends_of(student, params_)),
      gradients_(params_, ranks_, trace_) {
  if (settings.shard_parameters && !ranks_.alone()) {
    student_shards_.emplace(student_, ranks_, gradients_, trace_);
    if (teacher_) teacher_shards_.emplace(*teacher_, ranks_, trace_);
    release_kept_memory();
  }
  for (const Shard& shard : gradients_.shards()) moments_.push_back(no_moments(shard.part.value));
}

int64_t Trainer::micro_batches() const {
  return settings_.gradient_accumulation_steps * ranks_.size();
}

StepReport Trainer::step() {
  trace_.begin_step(state_.step + 1);
  const Stopwatch stopwatch;
  StepReport report;
  gradients_.clear();
  std::vector<BatchLoss> losses;
  for (int64_t i = 0; i < settings_.gradient_accumulation_steps; ++i)
    losses.push_back(accumulate());
  gradients_.finish();
  trace_.enter("optimizer");
  report.loss = mean(losses);
  report.grad_norm = gradients_.norm();
  report.learning_rate = learning_rate_at(state_.step, max_steps_, settings_);
  report.skipped = !std::isfinite(report.loss.total) || !std::isfinite(report.grad_norm);
  if (!report.skipped) update(report);
  trace_.end_step();
  ++state_.step;
  if (report.skipped) count_skip();
  state_.cursor = batches_.cursor();
  report.step = state_.step;
  report.tokens = state_.tokens;
  report.seconds = stopwatch.seconds();
  return report;
}

// Forward and backward of this rank's micro-batch of the next ones of all.
BatchLoss Trainer::accumulate() {
  trace_.enter("data");
  batches_.skip(ranks_.rank());
  const std::vector<int32_t> ids = batches_.next();
  const double share = 1.0 / static_cast<double>(micro_batches());
  TopLogProbs teacher_topk;
  if (cache_) teacher_topk = cache_->rows(batches_.given());
  batches_.skip(ranks_.size() - 1 - ranks_.rank());
  Tape tape;
  BatchLoss batch = compute(tape, ids, teacher_topk);
  trace_.enter("backward");
  tape.backward(batch.loss, share, [this](Param& param) { gradients_.add(param); });
  gradients_.end_batch();
  state_.tokens += static_cast<int64_t>(ids.size()) * ranks_.size();
  return batch;
}

// The student's values may still be coming, which its blocks wait for each in its turn.
BatchLoss Trainer::compute(Tape& tape, const std::vector<int32_t>& ids,
                           const TopLogProbs& teacher_topk) {
  std::optional<BlocksHeld> held;
  if (!gradients_.values_there()) {
    gradients_.await_values(*ends_.front());
    held.emplace(student_, [this](size_t index) {
      gradients_.await_values(*ends_[index + 1]);
      if (index + 2 == ends_.size()) settle();  // for what is behind the blocks
    });
  }
  return batch_loss(tape, student_, teacher_, ids, settings_.per_device_train_batch_size, loss_,
                    {cache_ ? &teacher_topk : nullptr, settings_.gradient_checkpointing, trace_});
}

// Over the micro-batches of all ranks, which are of one size, in their order.
LossTerms Trainer::mean(const std::vector<BatchLoss>& losses) const {
  std::vector<double> own;
  for (const BatchLoss& loss : losses) {
    const LossTerms terms = loss.terms();
    own.insert(own.end(), {terms.total, terms.kl, terms.hidden, terms.labels});
  }
  const double share = 1.0 / static_cast<double>(micro_batches());
  const std::vector<std::vector<double>> all = ranks_.gather(own);
  LossTerms out;
  for (size_t i = 0; i < own.size(); i += 4)
    for (const std::vector<double>& terms : all) {
      out.total += share * terms.at(i);
      out.kl += share * terms.at(i + 1);
      out.hidden += share * terms.at(i + 2);
      out.labels += share * terms.at(i + 3);
    }
  return out;
}

// Clip by the global norm, then AdamW on this rank's shards.
void Trainer::update(StepReport& report) {
  const Device device = student_.embedding.value.device();
  Tensor flips = Tensor::zeros({}, DType::f64, device);
  std::vector<Param*> parts;
  for (Shard& shard : gradients_.shards()) parts.push_back(&shard.part);
  AdamWSettings settings = adamw_settings(settings_);
  settings.latent_lr_mult = latent_lr_mult_at(state_.step, max_steps_, settings_);
  adamw_step(parts, moments_, state_.step + 1, report.learning_rate,
             clip_factor(report.grad_norm, settings_.max_grad_norm), settings, flips);
  gradients_.share_values();
  if (in_parts()) settle();
  gradients_.clear();  // while the update is still under way
  report.sign_flip_rate = flip_rate(flips);
}

// Of the latent weights of all ranks; `flips` is what this one has counted.
double Trainer::flip_rate(const Tensor& flips) const {
  int64_t latents = 0;
  for (const Param* param : params_)
    if (param->role == ParamRole::latent) latents += param->value.numel();
  if (latents == 0) return 0;
  double flipped = 0;
  for (const std::vector<double>& of_rank : ranks_.gather(std::vector{flips.item()}))
    flipped += of_rank.at(0);
  return flipped / static_cast<double>(latents);
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

std::map<std::string, Tensor> Trainer::whole_parameters() const {
  require(gradients_.values_there(), "Trainer: values are still under way");
  std::map<std::string, Tensor> out;
  if (in_parts()) {
    std::vector<Tensor> values;
    for (const Shard& shard : gradients_.shards()) values.push_back(shard.part.value);
    return gradients_.whole(values);
  }
  for (const Param* param : params_) out[param->name] = param->value;
  return out;
}

std::map<std::string, Tensor> Trainer::tensors() const {
  std::vector<Tensor> m, v;
  for (const Moments& moments : moments_) {
    m.push_back(moments.m);
    v.push_back(moments.v);
  }
  std::map<std::string, Tensor> out;
  for (auto& [name, tensor] : whole_parameters()) out["model/" + name] = tensor;
  for (auto& [name, tensor] : gradients_.whole(m)) out["optimizer/m/" + name] = tensor;
  for (auto& [name, tensor] : gradients_.whole(v)) out["optimizer/v/" + name] = tensor;
  return out;
}

void Trainer::require_finite() const {
  require(gradients_.values_there(), "Trainer: values are still under way");
  const auto require_one = [&](const std::string& name, const Tensor& tensor) {
    if (count_non_finite(tensor.to(Device::cpu)) != 0)
      throw_error(ErrorKind::numerical,
                  "step {}: '{}' holds a number that is not finite; nothing was saved", state_.step,
                  name);
  };
  ranks_.together([&] {
    for (const Param* param : params_)
      if (!gradients_.detached(*param)) require_one("model/" + param->name, param->value);
    for (size_t i = 0; i < moments_.size(); ++i) {
      const Shard& shard = gradients_.shards()[i];
      const std::string& name = shard.part.name;
      if (gradients_.detached(*shard.of)) require_one("model/" + name, shard.part.value);
      require_one("optimizer/m/" + name, moments_[i].m);
      require_one("optimizer/v/" + name, moments_[i].v);
    }
  });
}

void Trainer::restore(const std::map<std::string, Tensor>& from, const TrainerState& state) {
  std::map<std::string, Tensor> own;  // moments have the place of their parameter
  for (const Param* param : params_)
    for (const char* group : {"model/", "optimizer/m/", "optimizer/v/"})
      own[group + param->name] = param->value;
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
  for (Param* param : params_)
    if (!gradients_.detached(*param)) param->value.copy_from(from.at("model/" + param->name));
  for (size_t i = 0; i < moments_.size(); ++i) {
    Shard& shard = gradients_.shards()[i];
    if (gradients_.detached(*shard.of))
      shard.part.value.copy_from(shard.of_whole(from.at("model/" + shard.part.name)));
    moments_[i].m.copy_from(shard.of_whole(from.at("optimizer/m/" + shard.part.name)));
    moments_[i].v.copy_from(shard.of_whole(from.at("optimizer/v/" + shard.part.name)));
  }
  state_ = state;
  batches_.seek(state.cursor);
}

void Trainer::finish() {
  settle();
  if (!in_parts()) return;
  const std::map<std::string, Tensor> whole = whole_parameters();
  for (Param* param : params_)
    if (gradients_.detached(*param))
      param->value = ranks_.first() ? whole.at(param->name) : Tensor();
}

int64_t planned_steps(const TrainSettings& s, int64_t sequences, int ranks) {
  if (s.max_steps > 0) return s.max_steps;
  const double each =
      static_cast<double>(s.per_device_train_batch_size * s.gradient_accumulation_steps * ranks);
  return static_cast<int64_t>(
      std::ceil(s.num_train_epochs * static_cast<double>(sequences) / each));
}

}  // namespace halftone
