#include "halftone/train/settings.h"

namespace halftone {
namespace {

constexpr int64_t kMostSteps = int64_t{1} << 40;
constexpr double kJustBelowOne = 0.9999999999;

}  // namespace

void fields(FieldVisitor& v, LossSettings& s) {
  v.field("kl", s.kl, {0, 1e6}, "weight of the mean KL divergence from the teacher, a token");
  v.field("kl_temperature", s.kl_temperature, {1e-3, 1e3}, "of both distributions in the KL");
  v.field("hidden", s.hidden, {0, 1e6}, "weight of the hidden states' error");
  choice(v, "hidden_kind", s.hidden_kind,
         {{"normalised", HiddenKind::normalised}, {"mse", HiddenKind::mse}},
         "error of hidden states: after division by their norms, or plain");
  v.field("labels", s.labels, {0, 1e6}, "weight of the cross entropy with the text");
}

void fields(FieldVisitor& v, WarmStartSettings& s) {
  v.field("steps", s.steps, {0, kMostSteps},
          "optimiser steps a block, on windows of [calibration]; 0 = no warm start");
  v.field("learning_rate", s.learning_rate, {0, 1e3}, "of each block's first step");
}

void fields(FieldVisitor& v, TrainSettings& s) {
  v.field("max_steps", s.max_steps, {0, kMostSteps}, "optimiser steps; 0 = by num_train_epochs");
  v.field("num_train_epochs", s.num_train_epochs, {0, 1e6},
          "passes over the data; 0 = by max_steps");
  v.field("per_device_train_batch_size", s.per_device_train_batch_size, {1, 1 << 20},
          "sequences at a time, of a rank");
  v.field("gradient_accumulation_steps", s.gradient_accumulation_steps, {1, 1 << 20},
          "batches a step, of a rank");
  v.field("learning_rate", s.learning_rate, {0, 1e3}, "the highest of the schedule");
  v.field("embedding_lr_mult", s.embedding_lr_mult, {0, 1e3},
          "times learning_rate: that of embeddings and heads; 0 = they stay the teacher's");
  v.field("vector_lr_mult", s.vector_lr_mult, {0, 1e3},
          "times learning_rate: that of scales, norms and biases");
  choice(v, "lr_scheduler_type", s.lr_scheduler_type,
         {{"cosine", LrScheduler::cosine},
          {"linear", LrScheduler::linear},
          {"constant", LrScheduler::constant}},
         "learning rate after the warm-up");
  v.field("warmup_steps", s.warmup_steps, {0, kMostSteps}, "steps of linear warm-up");
  v.field(
      "freeze_signs_at", s.freeze_signs_at, {0.01, 1},
      "share of the steps over which latent weights learn, by a schedule of their own that ends "
      "there; signs stay for the rest");
  v.field("weight_decay", s.weight_decay, {0, 1e3}, "decoupled, as in AdamW");
  v.field("adam_beta1", s.adam_beta1, {0, kJustBelowOne}, "decay of the first moment");
  v.field("adam_beta2", s.adam_beta2, {0, kJustBelowOne}, "decay of the second moment");
  v.field("adam_epsilon", s.adam_epsilon, {1e-30, 1}, "added to the root of the second moment");
  v.field("max_grad_norm", s.max_grad_norm, {0, 1e9}, "clip to this norm; 0 = no clipping");
  choice(v, "precision", s.precision, {{"f32", Precision::f32}, {"bf16", Precision::bf16}},
         "of products and hidden states; bf16 on a GPU alone");
  v.field("gradient_checkpointing", s.gradient_checkpointing,
          "keep of a block its input alone and compute the rest again in backward");
  v.field("shard_parameters", s.shard_parameters,
          "of several ranks, each keeps its part of every block and gathers a block while it runs "
          "(ZeRO-3); on CPUs, with gradient_checkpointing; one rank: no change");
  v.field("logging_steps", s.logging_steps, {1, kMostSteps}, "steps between lines of the log");
  v.field("eval_steps", s.eval_steps, {0, kMostSteps},
          "steps between evaluations; 0 = only at the end");
  v.field("save_steps", s.save_steps, {0, kMostSteps},
          "steps between checkpoints; 0 = by save_minutes and at the end");
  v.field("save_minutes", s.save_minutes, {0, 1e6},
          "minutes after which a checkpoint is due as well; 0 = never");
  v.field("save_total_limit", s.save_total_limit, {1, 1 << 20}, "checkpoints that are kept");
}

}  // namespace halftone
