// A weight matrix in few bits, as it is stored: what is evaluated is rebuilt from this form.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

// How the parts of a matrix are read; one for all linears of a model.
struct LowBitLayout {
  enum class Scheme {
    uniform,  // w = scale (code - zero), a grid a row and group of columns
    binary,  // w = sum of scaled signs (+ mean), a set of scales a row, block and group of elements
  };
  Scheme scheme = Scheme::uniform;
  int64_t bits = 0, group_size = 0;         // uniform; group_size 0: the whole row
  bool symmetric = false, ordered = false;  // uniform: no zeros stored; groups follow column_order
  int64_t blocksize = 0;                    // binary; 0: the whole row
  bool row_column = false;   // binary: scales a_i c_j (ARB-RC) instead of alpha_i, mu_i
  bool partitioned = false;  // binary: salient columns and split groups
  bool cgb = false;          // binary: the salient columns are split too
  int64_t num_p = 1;         // binary: splits of the other columns

  bool operator==(const LowBitLayout&) const = default;
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
};

std::string layout_text(const LowBitLayout& layout);
LowBitLayout parse_layout(const std::string& text);  // throws Error(format)

// The parts (n = rows, m = columns; bit streams as in packed_codes.h, row by row):
//   uniform  codes (n m at `bits`), scales (n x groups, F16), zeros (n groups at `bits`; absent
//   when
//            symmetric), column_order (m, I32; only when ordered: position -> column)
//   binary   signs (n m bits, 1 = -1), salient (m bits), groups (n m at group_bits), residual_signs
//            (n c bits over the c salient columns), row_values (blocks x n x row_values, F16),
//            column_values (F16; column by column: salient 2 a group, others 1 a group; row_column
//            only)
struct LowBitMatrix {
  LowBitLayout layout;
  int64_t rows = 0, columns = 0;
  std::map<std::string, Tensor> parts;
};

Tensor reconstruct(const LowBitMatrix& matrix);  // n x m, F32; throws std::invalid_argument

// Throws Error(format), naming the part, when parts are missing, unknown or of another size.
void check_parts(const LowBitMatrix& matrix, const std::string& where);

// The parts that a matrix of this layout may have.
std::vector<std::string> part_names(const LowBitLayout& layout);

struct LowBitCount {
  int64_t weights = 0;
  int64_t stored_bits = 0;  // 8 x bytes of all parts
  double paper_bits = 0;    // a weight, by the method's own formula: uniform bits; binary 1 + r
};
LowBitCount count_bits(const LowBitMatrix& matrix);

// What count_bits will say of a matrix with `salient` salient columns (methods 5.7 for binary
// layouts): uniform  q n m + (16 + q) n groups;  binary  2 n m + n c + m + 16 (k n blocks + kc).
int64_t planned_bits(const LowBitLayout& layout, int64_t rows, int64_t columns, int64_t salient);

}  // namespace halftone
