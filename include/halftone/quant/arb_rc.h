// ARB-RC (ARB-LLM section 3.4; methods 5.4): scales of rows and columns, no mean,
//   w_ij ~ sum_k a_k,i c_k,j B_k,ij   inside a group's mask.
#pragma once

#include "halftone/quant/block_code.h"

namespace halftone {

// One group of a block, restricted to the columns it touches: rows x width numbers.
struct RowColumnProblem {
  int64_t rows = 0, width = 0;
  std::vector<double> w, mask;  // mask 0 or 1; w is 0 outside
  int order = 1;
  std::vector<double> a[2], c[2];  // rows, width
  std::vector<double> b[2];        // rows x width, signs
};

// a_i = masked row mean of |R|, c_j = masked column mean of |R_ij| / a_i, B = sgn(R) of what the
// earlier orders leave.
void arb_rc_start(RowColumnProblem& p);
// a_i = sum_j M c_j B_ij R_ij / sum_j M c_j^2 with R = W - the other order; then c likewise. A
// scale whose denominator is 0 becomes 0. Never raises ||(W - W-hat) o M||^2.
void arb_rc_update_rows(RowColumnProblem& p, int k);
void arb_rc_update_columns(RowColumnProblem& p, int k);
// Order 2: of (-,-), (-,+), (+,-), (+,+) the pair nearest to w, the first where two are.
void arb_rc_update_signs(RowColumnProblem& p);

double arb_rc_error(const RowColumnProblem& p);

// Every group from arb_rc_start through `iterations` rounds. The gauge (ka, c/k) is fixed by
// mean(c) = 1 before scales are rounded.
void arb_rc(BlockCode& code, const std::vector<double>& w, int iterations);

}  // namespace halftone
