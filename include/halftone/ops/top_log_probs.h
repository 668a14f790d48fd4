// A teacher's distribution of each token by its k likeliest ids alone: what a cache keeps of it,
// and what head_loss takes in place of the teacher.
#pragma once

#include <cstdint>

#include "halftone/tensor/tensor.h"

namespace halftone {

struct TopLogProbs {
  Tensor ids;        // N x k, I32, ascending in each row
  Tensor log_probs;  // N x k, F16
};

// The k largest of log softmax(z / temperature) in each row of z (N x V) = hidden (N x C) weight^T
// (V x C, F16 allowed); of equal ones those of the smaller ids. k = V keeps them all. What is below
// F16's range becomes its lowest number, -65504. The logits exist for 256 tokens at a time.
// Throws Error(numerical) naming the row for logits that are not finite.
TopLogProbs top_log_probs(const Tensor& hidden, const Tensor& weight, int64_t k,
                          double temperature);

}  // namespace halftone
