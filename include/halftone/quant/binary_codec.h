// The scheme of scaled signs: w = sum of scaled signs (+ mean), a set of scales a row, block of
// columns and group of elements.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

struct LowBitMatrix;

// The parts (n = rows, m = columns, c of them salient; bit streams as in packed_codes.h, row by
// row):
//   signs (n m bits, 1 = -1), salient (m bits), groups (n m at group_bits), residual_signs (n c
//   bits over the salient columns), row_values (blocks x n x row_values, F16), column_values (F16;
//   column by column: salient 2 a group, others 1 a group; row_column only)
struct BinaryLayout {
  int64_t blocksize = 0;     // columns a block; 0: the whole row
  bool row_column = false;   // scales a_i c_j (ARB-RC) instead of alpha_i, mu_i
  bool partitioned = false;  // salient columns and split groups
  bool cgb = false;          // the salient columns are split too
  int64_t num_p = 1;         // splits of the other columns

  bool operator==(const BinaryLayout&) const = default;
  // Elements of one block fall into groups: the salient ones first, then the others.
  int64_t salient_groups() const { return partitioned ? (cgb ? 2 : 1) : 0; }
  int64_t rest_groups() const { return partitioned ? num_p + 1 : 1; }
  // Numbers a row and block: salient groups have order 2, others order 1, each with a mean unless
  // the scales are a_i c_j.
  int64_t row_values() const {
    return row_column ? 2 * salient_groups() + rest_groups()
                      : 3 * salient_groups() + 2 * rest_groups();
  }
  int group_bits() const;  // of the group bitmap: ceil(log2(num_p + 1)), 0 without a partition

  static constexpr std::string_view kScheme = "binary";
  static std::vector<std::string> part_names() {
    return {"signs", "salient", "groups", "residual_signs", "row_values", "column_values"};
  }
  // Bits a weight by the method's own formula: 1 + the share of salient columns.
  double paper_bits(const LowBitMatrix& matrix) const;
  // Stored bits of an n x m matrix with c salient columns (methods 5.7):
  // 2 n m + n c + m + 16 (k n blocks + kc) with a partition.
  int64_t planned_bits(int64_t n, int64_t m, int64_t salient) const;
  // Throws Error(format), naming the part, when parts are missing or do not fit.
  void check(const LowBitMatrix& matrix, const std::string& where) const;
  Tensor reconstruct(const LowBitMatrix& matrix) const;
};

}  // namespace halftone
