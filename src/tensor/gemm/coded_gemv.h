// The product of a few tokens with a matrix of codes: the book of a row and group lies in a vector
// register, and an instruction that permutes its elements looks up a vector of columns.
#pragma once

#include "halftone/tensor/coded_matrix.h"

namespace halftone {

// y (N x O) = x W^T, N up to kFewTokensCoded.
void coded_gemv(const Tensor& x, const CodedMatrix& w, Tensor& y);

// The rows [begin, end) of W, I floats each.
void rebuild_rows(const CodedMatrix& w, int64_t begin, int64_t end, float* out);

}  // namespace halftone
