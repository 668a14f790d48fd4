// The groups of one block's elements: salient columns, and the splits of what they leave and of
// themselves (BiLLM section 3, methods 4.1; CGB of ARB-LLM, methods 5.6).
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/quant/settings.h"

namespace halftone {

// A block in the domain that is searched, row-major: n x width.
struct SearchBlock {
  int64_t rows = 0, width = 0;
  std::vector<double> t;
};

struct BlockPartition {
  int64_t rows = 0, width = 0;
  std::vector<uint8_t> salient;  // width; 1: the column is salient
  // rows x width. Of salient elements: 1 hi, 0 lo with CGB, else 0. Of others: k the hi part of
  // split k = 1..num_p, 0 what remained lo.
  std::vector<uint8_t> group;
};

// The first of `errors` within 1e-12 `scale` of the least. Groups of one or two elements are exact
// under any split: rounding must not choose among such ties.
size_t first_minimum(const std::vector<double>& errors, double scale);

double sum_of_squares(const SearchBlock& block);

// The number of salient columns, the first of `ranked` (columns by falling sum of |T|, at most 50):
//   argmin over i = 1..K-1, the first minimum, of
//   ||T - BRAQ(T, first i columns, 2) - BRAQ(T, the others, 2)||^2.
// From the sorted values and prefix sums of each row: O(width log width + K^2) a row.
int64_t salient_count(const SearchBlock& block, const std::vector<int64_t>& ranked);
// The same over |w| without a mean, orders 2 and 1: BiLLM's pseudo-code.
int64_t salient_count_without_mean(const SearchBlock& block, const std::vector<int64_t>& ranked);

// The threshold p of the split |T| >= p | |T| < p of the elements with active = 1: of `candidates`
// (rising) the first with the least ||T - BRAQ(T, lo, 1) - BRAQ(T, hi, 1)||^2 over them.
double best_split(const SearchBlock& block, const std::vector<uint8_t>& active,
                  const std::vector<double>& candidates);
double best_split_without_mean(const SearchBlock& block, const std::vector<uint8_t>& active,
                               const std::vector<double>& candidates);
// ARB-X: the least tr(R S R^T), R = T - BRAQ(T, lo, 1) - BRAQ(T, hi, 1) on active elements and
// `residual` on the others; S (width x width).
double best_split_by_output(const SearchBlock& block, const std::vector<uint8_t>& active,
                            const std::vector<double>& candidates,
                            const std::vector<double>& residual, const std::vector<double>& s);
// CGB: the least ||T - BRAQ(T, lo, 2) - BRAQ(T, hi, 2)||^2 over the active elements.
double best_split_of_order_2(const SearchBlock& block, const std::vector<uint8_t>& active,
                             const std::vector<double>& candidates);

// W of the block and diag(U) over its columns; `s` (S of methods 0.2, width x width) chooses
// ARB-X's criterion, empty the squared error.
BlockPartition partition_block(const SearchBlock& w, const std::vector<double>& u_diagonal,
                               const std::vector<double>& s, const PtqSettings& settings);

}  // namespace halftone
