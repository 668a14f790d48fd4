#include "halftone/train/distillation.h"

#include "halftone/autograd/recompute.h"
#include "halftone/ops/elementwise.h"
#include "halftone/ops/head_loss.h"
#include "halftone/ops/losses.h"

namespace halftone {

std::vector<int32_t> next_tokens(const std::vector<int32_t>& ids, int64_t batch) {
  const size_t length = ids.size() / static_cast<size_t>(batch);
  std::vector<int32_t> targets(ids.size(), kIgnoredTarget);
  for (size_t i = 0; i + 1 < ids.size(); ++i)
    if ((i + 1) % length != 0) targets[i] = ids[i + 1];
  return targets;
}

Var hidden_error(const Var& s, const Tensor& t, HiddenKind kind) {
  return kind == HiddenKind::normalised ? normalised_mse(s, t) : mse(s, t);
}

BatchLoss batch_loss(Tape& tape, Decoder& student, Decoder* teacher,
                     const std::vector<int32_t>& ids, int64_t batch, const LossSettings& settings,
                     const BatchOptions& options) {
  const TopLogProbs* teacher_topk = options.teacher_topk;
  require(!teacher_topk || (!teacher && settings.hidden == 0),
          "batch_loss: a teacher's likeliest ids beside {}",
          teacher ? "the teacher" : "a loss on its hidden states");
  Tape reading(Tape::Mode::no_grad, tape.times());
  const Trace& trace = options.trace;
  BatchLoss out;
  trace.enter("forward");
  Var hidden_loss, s = student.embed(tape, ids, batch), t;
  if (teacher) {
    trace.enter("teacher");
    t = teacher->embed(reading, ids, batch);
  }
  for (size_t i = 0; i < student.blocks.size(); ++i) {
    if (teacher && settings.hidden > 0) {
      trace.enter("loss");
      const Var distance = hidden_error(s, t.value(), settings.hidden_kind);
      hidden_loss = hidden_loss.defined() ? add(hidden_loss, distance) : distance;
    }
    const Segment block = [&student, i, batch](Tape& on, const Var& x) {
      return student.block(on, i, x, batch);
    };
    trace.enter("forward");
    s = options.gradient_checkpointing ? recomputed(s, block) : block(tape, s);
    if (!teacher) continue;
    trace.enter("teacher");
    t = teacher->block(reading, i, t, batch);
  }

  const bool distilled = teacher || teacher_topk;
  HeadTeacher teacher_head;
  if (teacher_topk) teacher_head.top = *teacher_topk;
  if (teacher)
    teacher_head = {teacher->normalise(reading, t).value(), teacher->head_weight(reading).value()};
  const std::vector<int32_t> targets = next_tokens(ids, batch);
  const bool labelled = !distilled || settings.labels > 0;
  trace.enter("loss");
  const HeadLoss head =
      head_loss(student.normalise(tape, s), student.head_weight(tape),
                distilled ? &teacher_head : nullptr, labelled ? &targets : nullptr,
                {.kl_weight = distilled ? settings.kl : 0.0,
                 .kl_temperature = settings.kl_temperature,
                 .label_weight = distilled ? settings.labels : 1.0});
  out.loss =
      hidden_loss.defined() ? add(head.loss, scale(hidden_loss, settings.hidden)) : head.loss;
  if (hidden_loss.defined()) out.hidden = hidden_loss.value();
  out.kl = head.kl;
  out.labels = head.labels;
  return out;
}

LossTerms BatchLoss::terms() const {
  LossTerms out{.total = loss.value().item(), .kl = kl.item(), .labels = labels.item()};
  if (hidden.defined()) out.hidden = hidden.item();
  return out;
}

}  // namespace halftone
