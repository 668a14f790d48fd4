// The scheme of uniform grids: w = scale (code - zero), a grid a row and group of columns.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

struct LowBitMatrix;

// The parts (n = rows, m = columns; bit streams as in packed_codes.h, row by row):
//   codes (n m at `bits`), scales (n x groups, F16), zeros (n groups at `bits`; absent when
//   symmetric), column_order (m, I32; only when ordered: position -> column)
struct UniformLayout {
  int64_t bits = 0;
  int64_t group_size = 0;  // columns a group; 0: the whole row
  bool symmetric = false;  // zeros are 2^(bits-1), and not stored
  bool ordered = false;    // groups follow column_order

  bool operator==(const UniformLayout&) const = default;

  static constexpr std::string_view kScheme = "uniform";
  static std::vector<std::string> part_names() {
    return {"codes", "scales", "zeros", "column_order"};
  }
  // Bits a weight by the method's own formula.
  double paper_bits(const LowBitMatrix&) const { return static_cast<double>(bits); }
  // Stored bits of an n x m matrix: q n m + (16 + q) n groups, and 32 m when ordered.
  int64_t planned_bits(int64_t n, int64_t m, int64_t salient) const;
  // Throws Error(format), naming the part, when parts are missing or do not fit.
  void check(const LowBitMatrix& matrix, const std::string& where) const;
  Tensor reconstruct(const LowBitMatrix& matrix) const;
};

}  // namespace halftone
