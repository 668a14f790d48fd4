// One block of a matrix as scaled signs, group by group, while a binary method makes it.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/quant/braq.h"
#include "halftone/quant/partition.h"

namespace halftone {

// The block's groups are numbered: salient ones first (bitmap number 0 = lo, 1 = hi), then the
// others by their number in the bitmap.
struct BlockCode {
  BlockCode(BlockPartition partition, bool cgb, int64_t num_p, bool partitioned, bool row_column);

  int64_t groups() const { return salient_groups + rest_groups; }
  int order(int64_t group) const { return group < salient_groups ? 2 : 1; }
  int64_t group_of(int64_t row, int64_t column) const;
  // First of a group's numbers among a row's.
  int64_t first_value(int64_t group) const;
  double value(int64_t row, int64_t column) const;  // of the stored, rounded numbers

  BlockPartition partition;
  int64_t salient_groups, rest_groups;
  bool row_column;
  int64_t row_values;
  std::vector<uint8_t> sign[2];         // rows x width, 1 = -1; the second of salient elements only
  std::vector<double> row_value;        // rows x row_values: alpha_k then mu, or a_k
  std::vector<double> column_value[2];  // [order][group x width]: c of row_column
};

// The columns of a row that are in a group, and the row's numbers there.
struct GatheredRow {
  std::vector<int64_t> columns;
  std::vector<double> x;
};
void gather(const BlockCode& code, int64_t row, int64_t group, const double* w, GatheredRow& out);

// Stores alpha, mu (rounded to binary16) and the signs of a row's group.
void store_row(BlockCode& code, int64_t row, int64_t group, const GatheredRow& gathered,
               const BinaryRow& found);

// Every group by `iterations` of ARB (0: BRAQ). w: rows x width.
void binarise_groups(BlockCode& code, const std::vector<double>& w, int iterations);

}  // namespace halftone
