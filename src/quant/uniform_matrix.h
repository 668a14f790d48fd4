// Codes and grids of a matrix while RTN or GPTQ fills them.
#pragma once

#include <algorithm>
#include <vector>

#include "halftone/base/rounding.h"
#include "halftone/quant/grid.h"
#include "halftone/quant/low_bit_matrix.h"
#include "halftone/quant/packed_codes.h"

namespace halftone {

inline UniformLayout uniform_layout(const PtqSettings& s, bool ordered) {
  return {.bits = s.bits, .group_size = s.group_size, .symmetric = s.symmetric, .ordered = ordered};
}

struct UniformMatrix {
  UniformMatrix(int64_t n, int64_t m, const PtqSettings& s)
      : rows(n),
        columns(m),
        width(s.group_size ? s.group_size : m),
        groups(divide_up(m, width)),
        settings(s),
        codes(static_cast<size_t>(n * m)),
        grids(static_cast<size_t>(n * groups)) {}

  void set_grid(int64_t row, int64_t group, const Grid& grid) {
    grids[row * groups + group] = grid;
  }

  // `order`: position -> column, where groups are of positions (act_order).
  LowBitMatrix pack(const std::vector<int32_t>& order = {}) const {
    const int bits = static_cast<int>(settings.bits);
    LowBitMatrix out{.layout = uniform_layout(settings, !order.empty()),
                     .rows = rows,
                     .columns = columns,
                     .parts = {}};
    std::vector<uint8_t> zeros;
    Tensor scales = Tensor::uninitialized({rows, groups}, DType::f16);
    for (size_t i = 0; i < grids.size(); ++i) {
      scales.data<half_t>()[i] = round_to_half(grids[i].scale);
      zeros.push_back(static_cast<uint8_t>(grids[i].zero));
    }
    out.parts["codes"] = pack_codes(codes, bits);
    out.parts["scales"] = scales;
    if (!settings.symmetric) out.parts["zeros"] = pack_codes(zeros, bits);
    if (!order.empty()) out.parts["column_order"] = Tensor::of({columns}, order);
    return out;
  }

  int64_t rows, columns, width, groups;
  const PtqSettings& settings;
  std::vector<uint8_t> codes;  // of column j at j, whatever the order
  std::vector<Grid> grids;
};

}  // namespace halftone
