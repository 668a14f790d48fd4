// ARB-X (ARB-LLM section 3.3; methods 5.3): scales and means of frozen signs refined on calibration
// data, minimising the output error r S r^T of each row r.
#pragma once

#include "halftone/quant/block_code.h"

namespace halftone {

// ARB for `iterations`, then as many rounds over the groups of
//   mu      = m^T S [(w - sum_k alpha_k b_k) o m] / (m^T S m + eps)
//   alpha_k = b_k^T S [(w - mu - sum_{l != k} alpha_l b_l) o m] / (b_k^T S b_k + eps)
// with m the row's mask, eps = 1e-10 tr(S) / b. `joint`: the residual of the other groups is added
// inside the brackets, so that the whole block's error falls; released: each group as if alone.
//
// As signs are frozen, the products of S with m and b_k are taken once (one GEMM) and a round is
// arithmetic on a Gram matrix of at most (3 + 3 + 2 + ...)^2 numbers a row.
// w: rows x width; s: width x width, S of methods 0.2.
void arb_x(BlockCode& code, const std::vector<double>& w, const std::vector<double>& s,
           int iterations, bool joint);

// The coordinate descent of one row. gram (n x n) of its vectors (per group: m, b_1 [, b_2]), rhs
// (n) their products with S w; coefficients are updated in place, in order.
void arb_x_round(int64_t n, const double* gram, const double* rhs, double eps, double* coefficient);

}  // namespace halftone
