// Losses on logits that exist for all tokens. The trainer uses head_loss, which never makes them;
// these are its oracles and serve small problems.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/autograd/tape.h"

namespace halftone {

inline constexpr int32_t kIgnoredTarget = -1;

// mean over the counted rows of -log softmax(logits_n)[target_n]; logits (N x V).
// A target kIgnoredTarget is not counted; no counted row gives 0.
// dlogits_n += dy (softmax(logits_n) - onehot(target_n)) / count. Saves the logits.
Var cross_entropy(const Var& logits, const std::vector<int32_t>& targets);

// tau^2 / N sum_n sum_v p_nv (log p_nv - log q_nv), p = softmax(teacher / tau),
// q = softmax(logits / tau): the mean KL divergence a token at temperature tau.
// dlogits += dy tau (q - p) / N. Saves both logits.
Var kl_divergence(const Var& logits, const Tensor& teacher_logits, double temperature = 1.0);

}  // namespace halftone
