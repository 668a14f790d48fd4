// How well logits say the token that follows, and how well they agree with a teacher's.
#pragma once

#include "halftone/tensor/tensor.h"

namespace halftone {

struct TokenScores {
  double nll = 0;          // -log softmax(x)[next], summed over the rows
  double teacher_nll = 0;  // of the teacher's logits
  double kl = 0;           // KL(teacher || x), nats
  double agree = 0;        // rows whose largest logits are of the same id

  void add(const TokenScores& other);
};

// sums += those of the rows of logits x (N x V, F32) and the teacher's t, of the same shape or
// undefined, row after row; next (N, I32) on the CPU. A row with a NaN agrees with nothing.
void add_token_scores(const Tensor& x, const Tensor& t, const Tensor& next, TokenScores& sums);

}  // namespace halftone
