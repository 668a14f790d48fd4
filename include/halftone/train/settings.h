// Sections [loss] and [train] of a recipe.
#pragma once

#include <cstdint>

#include "halftone/base/settings.h"

namespace halftone {

enum class HiddenKind {
  normalised,  // of hidden states divided by their norms
  mse,         // of the hidden states themselves
};

// loss = kl * KL + hidden * hidden error + labels * cross entropy, each a mean over tokens. The
// method pretrain has no teacher and uses the labels alone.
struct LossSettings {
  double kl = 5;
  double kl_temperature = 1;
  double hidden = 1;
  HiddenKind hidden_kind = HiddenKind::normalised;
  double labels = 0;
};

// What a GPU multiplies and keeps hidden states in; sums, losses, weights and their moments are
// F32.
enum class Precision { f32, bf16 };

enum class LrScheduler { cosine, linear, constant };

struct TrainSettings {
  // Exactly one of the two is above 0 in a trained method.
  int64_t max_steps = 0;
  double num_train_epochs = 0;
  int64_t per_device_train_batch_size = 8;  // sequences
  int64_t gradient_accumulation_steps = 1;
  double learning_rate = 1e-3;
  double embedding_lr_mult = 1;
  double vector_lr_mult = 1;
  LrScheduler lr_scheduler_type = LrScheduler::cosine;
  int64_t warmup_steps = 0;
  double freeze_signs_at = 1;  // share of the steps
  double weight_decay = 0.01;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.98;
  double adam_epsilon = 1e-8;
  double max_grad_norm = 1.0;  // 0: no clipping
  Precision precision = Precision::f32;
  bool gradient_checkpointing = false;
  bool shard_parameters = false;  // of the blocks, among ranks (train/block_shards.h)
  int64_t logging_steps = 10;
  int64_t eval_steps = 0;    // 0: only at the end
  int64_t save_steps = 0;    // 0: at the end, and by time
  double save_minutes = 10;  // 0: not by time
  int64_t save_total_limit = 2;
};

// Before the first step of training: each 1-bit block in turn learns its teacher's outputs, see
// train/warm_start.h.
struct WarmStartSettings {
  int64_t steps = 0;  // a block; 0: none
  double learning_rate = 1e-3;
};

void fields(FieldVisitor& v, LossSettings& s);
void fields(FieldVisitor& v, WarmStartSettings& s);
void fields(FieldVisitor& v, TrainSettings& s);

}  // namespace halftone
