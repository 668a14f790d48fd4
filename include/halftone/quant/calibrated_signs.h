// ARB-RC on calibration data: signs with scales of rows and columns that lose least at a linear's
// outputs (ARB-LLM, arXiv 2410.03129, sections 3.3 and 3.4 together; methods 5.9).
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

// W (n x m) ~ W-hat, w-hat_ij = h_ik s_ij g_t, where column j is in group k of `group`
// neighbouring ones, and t = tied[j]: columns of one t share one g.
struct CalibratedSigns {
  int64_t rows = 0, columns = 0;  // n, m
  int64_t group = 0;              // divides m
  std::vector<int64_t> tied;      // of each column
  std::vector<double> w, s;       // n x m; s of +1 and -1
  std::vector<double> h, g;       // n x m / group; a number for each t

  int64_t groups() const { return columns / group; }
};

// E = tr((W - W-hat) G (W - W-hat)^T), the squared error at the outputs for inputs X whose Gram
// matrix G = X^T X (m x m, F64, symmetric) is, up to a factor.
double calibrated_error(const CalibratedSigns& p, const Tensor& gram);

// The updates. None raises E; with G = I, and a group and a g of its own for a column each, they
// are those of arb_rc.h at order 1. A scale that came out below 0 is turned over, with its signs.
//
// With b_k = g o s_i inside group k, else 0, each group of row i in turn (that of arb_x.h):
//   h_ik = b_k^T G (w_i - sum_{l != k} h_il b_l) / b_k^T G b_k
// A scale whose denominator is 0, of inputs that were 0 throughout, stays.
void update_row_scales(CalibratedSigns& p, const Tensor& gram);
// All g at once: with A_ij = h_ik s_ij, and rows and columns of one t added up,
//   g += (A^T A o G + lambda I)^-1 diag(A^T (W - W-hat) G),  lambda = 0.01 mean(diag(A^T A o G)).
// That is the least of E + lambda |step|^2; without lambda G would have to be of full rank.
void update_column_scales(CalibratedSigns& p, const Tensor& gram);
// Of each row one sign after another, turned where that lowers E (not only in its last digits).
// Returns E then.
double update_signs(CalibratedSigns& p, const Tensor& gram);

// Rounds of the three, without the second where `columns_fixed`: 15, or until one lowers E by less
// than a thousandth. Returns E. 8 n m^2 + 2/3 m^3 FLOP a round, half of the first without columns;
// 2 n m + 4 m^2 numbers of F64 more.
double refine_calibrated(CalibratedSigns& p, const Tensor& gram, bool columns_fixed);

}  // namespace halftone
