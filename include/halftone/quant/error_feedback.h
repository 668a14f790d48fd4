// Second-order error feedback (GPTQ, arXiv 2210.17323, algorithm 1; methods 2), which the binary
// methods share: columns are coded a block at a time, and each block's error is fed to the later
// columns.
#pragma once

#include <cstdint>
#include <functional>

#include "halftone/quant/hessian.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

// One block: columns [first, first + width) of the current weights.
struct FeedbackBlock {
  int64_t first, width;
  double* weights;  // n rows, `stride` apart: the block's columns as they are now
  int64_t stride;
  const double* upper;  // U of the block's columns: rows `stride` apart, U^T U = H^-1
  double* errors;       // n x width, to be filled: what later columns are lowered by, times U
};

// Goes through `current` (n x m, F64) by blocks of `blocksize` columns: code(block) codes a block
// and fills its errors E; then W[:, later] -= E U[block, later]. code() returns false to feed
// nothing. Cost: n m^2 FLOP in one product a block.
void feed_errors(Tensor& current, const PreparedHessian& hessian, int64_t blocksize,
                 const std::function<bool(const FeedbackBlock&)>& code);

}  // namespace halftone
