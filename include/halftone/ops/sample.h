// One token of each row of logits.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

struct SampleOptions {
  int64_t top_k = 0;        // of so many largest logits; 0: of all
  std::vector<char> known;  // by id; none is known beyond its end, all are where it is empty
};

// How one row's token is found.
struct SampleDraw {
  double temperature = 0;  // 0: the largest logit, the first of equals
  double uniform = 0;      // else the draw, in [0, 1)
  bool wanted = true;      // false: -1, and the row is not read
};

// ids (N) of logits (N x V, F32): one of the top_k largest with probability softmax(logits /
// temperature), the smaller id first among equals. Ids that are not known, of models with more rows
// than their tokenizer has tokens, become minus infinity, which is never drawn.
std::vector<int32_t> sample_tokens(Tensor& logits, const SampleOptions& options,
                                   const std::vector<SampleDraw>& draws);

}  // namespace halftone
