// The dense linear map.
#pragma once

#include "halftone/autograd/tape.h"
#include "halftone/ops/joined_linear.h"

namespace halftone {

// y (N x O) = x (N x I) W^T + bias, W (O x I), bias (O) or undefined.
// dx += dy W, dW += dy^T x, dbias += sum_n dy. Saves x and W.
// A weight in F16 is allowed where it needs no gradient: it is widened block by block.
Var linear(const Var& x, const Var& weight, const Var& bias = {});

// W for a product with other matrices, with the gradient above.
std::shared_ptr<const MadeMatrix> dense_matrix(const Var& weight);

// y (N x O) += bias (O) in every row.
void add_bias(const Tensor& bias, Tensor& y);

// db (C) = beta db + column sums of dy (N x C).
void add_column_sums(const Tensor& dy, Tensor& db, double beta);

}  // namespace halftone
