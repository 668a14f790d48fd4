// What a run will need, from the sizes of its model alone: memory, bits, work.
#pragma once

#include <cstdint>

#include "halftone/nn/block_spec.h"
#include "halftone/nn/student_settings.h"
#include "halftone/quant/low_bit_matrix.h"

namespace halftone {

// Bytes that a run holds at once, by part.
struct MemoryPlan {
  double teacher = 0, student = 0;       // weights, and moments of the optimiser
  double activations = 0, of_block = 0;  // kept for backward, of all blocks and of one
  double logits = 0, gradients = 0;
  // Gradients take the place of the activations as backward frees them, down to those of a block.
  double total() const;
};

struct TrainingShape {
  int64_t tokens = 0;        // of a micro-batch
  bool teacher = false;      // runs beside the student
  double teacher_bytes = 2;  // a weight
  bool post_layer_norm = false;
  bool gradient_checkpointing = false;
  Device device = Device::cpu;
  double number_bytes = 4;  // of hidden states and logits: 2 in BF16
};
MemoryPlan plan_training(const DecoderSpec& spec, const TrainingShape& shape);

// Ranks that share a step out (train/gradient_sum.h), and what they compute and send with. Time is
// what computing takes at a rate, and what sending n bytes in m messages does: m latency + n / rate
// (alpha-beta), both ways at once. What backward leaves time for is not counted.
struct RanksShape {
  int64_t ranks = 1;
  bool shard_parameters = false;  // of the blocks (train/block_shards.h)
  int64_t micro_batches = 1;      // a step and rank
  double flop_per_second = 1e11;
  double bytes_per_second = 1e9;
  double latency_seconds = 20e-6;
};

// Of one rank: bytes held, and what a step takes. In parts, weights are its parts and one block
// that is gathered. Gradients are its sums, and what exchanging them takes beyond what is not held
// then.
struct RankPlan {
  double teacher = 0, weights = 0, states = 0, gradients = 0, activations = 0;
  double sent_bytes = 0, messages = 0;
  double compute_seconds = 0, wait_seconds = 0;
  double bytes() const { return teacher + weights + states + gradients + activations; }
  double efficiency() const { return compute_seconds / (compute_seconds + wait_seconds); }
};
RankPlan plan_rank(const DecoderSpec& spec, const TrainingShape& shape, const RanksShape& ranks);

// A post-training method with so many calibration tokens.
MemoryPlan plan_quantising(const DecoderSpec& spec, double teacher_bytes, int64_t tokens);

// Bytes that a student's start on so many calibration tokens holds beside teacher and student:
// hidden states of both, and for arb-rc the Hessians of a block and the matrices of its largest set
// of linears that share an input.
double plan_start(const DecoderSpec& spec, StudentStart start, bool warm_start, int64_t tokens);

struct BitsPlan {
  double linears = 0;  // stored bits a weight of the blocks' linears
  double file = 0;     // bits a parameter of the whole file
};
BitsPlan plan_onebit(const DecoderSpec& spec, const StudentSettings& student = {});
// `salient`: the share of the columns that binary methods treat apart.
double plan_low_bits(const DecoderSpec& spec, const LowBitLayout& layout, double salient);

// Operations: 6 a weight and trained token, 8 where the blocks are computed twice, 2 more with a
// teacher beside, and 2 a weight and token that a teacher alone runs over.
double plan_flop(const DecoderSpec& spec, const TrainingShape& shape, int64_t trained_tokens,
                 int64_t teacher_tokens);

}  // namespace halftone
