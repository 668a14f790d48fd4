// The language-model head and its losses as one op, chunked over tokens: the logits of student and
// teacher exist for one chunk of tokens at a time, so memory does not grow with T x V.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/autograd/tape.h"
#include "halftone/ops/logit_losses.h"
#include "halftone/ops/top_log_probs.h"

namespace halftone {

struct HeadLossSettings {
  double kl_weight = 1;
  double kl_temperature = 1;
  double label_weight = 0;
  int64_t chunk_tokens = 0;  // 0: head_chunk_tokens()
};

// The tokens of a chunk for a vocabulary of V: 8 MB of logits, but 192 to 512 tokens. More share
// the packing of W and the sums of dW; fewer keep the logits in the caches and the memory small. On
// a GPU the power of 2 up to 2^28 logits: its products want many rows.
int64_t head_chunk_tokens(int64_t vocabulary, Device device = Device::cpu);

struct HeadTeacher {
  Tensor hidden;    // N x C_teacher, after the final norm
  Tensor weight;    // V x C_teacher; F16 is widened block by block
  TopLogProbs top;  // in place of both: its k likeliest ids of each token, at kl_temperature
};

struct HeadLoss {
  Var loss;       // kl_weight * kl + label_weight * labels
  Tensor kl;      // F64: mean a token, times temperature^2; 0 without a teacher
  Tensor labels;  // F64: mean cross entropy of the counted targets; 0 without targets
};

// x (N x C) after the final norm, weight W (V x C): logits = x W^T. Equal to linear() followed by
// kl_divergence() and cross_entropy() within 1e-6 relative, for any chunk.
// Of a teacher whose k likeliest ids are known the other ids are one bucket, in KL and its gradient
// as top_rows.h writes them: a lower bound of the full KL, and equal to it to the rounding of F16
// for k = V.
// The gradients are made in the forward pass, while the logits are there (dx += dlogits W,
// dW += dlogits^T x), and held until backward: N x C and V x C numbers. Without gradients needed
// only the losses are computed.
HeadLoss head_loss(const Var& x, const Var& weight, const HeadTeacher* teacher,
                   const std::vector<int32_t>* targets, const HeadLossSettings& settings);

}  // namespace halftone
