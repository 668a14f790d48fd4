// The blocks of a binary matrix, gathered and packed.
#pragma once

#include <algorithm>
#include <vector>

#include "halftone/quant/block_code.h"
#include "halftone/quant/grid.h"
#include "halftone/quant/low_bit_matrix.h"
#include "halftone/quant/packed_codes.h"

namespace halftone {

class BinaryMatrix {
 public:
  BinaryMatrix(const BinaryLayout& layout, int64_t n, int64_t m)
      : layout_(layout), rows_(n), columns_(m), salient_(static_cast<size_t>(m), 0) {
    for (auto& plane : sign_) plane.assign(static_cast<size_t>(n * m), 0);
    groups_ = sign_[0];
  }

  // Blocks come in the order of their columns.
  void add(const BlockCode& code, int64_t first) {
    const BlockPartition& p = code.partition;
    for (int64_t i = 0; i < rows_; ++i) {
      const int64_t from = i * p.width, to = i * columns_ + first;
      std::copy_n(p.group.data() + from, p.width, groups_.data() + to);
      for (int k = 0; k < 2; ++k)
        std::copy_n(code.sign[k].data() + from, p.width, sign_[k].data() + to);
    }
    std::copy(p.salient.begin(), p.salient.end(), salient_.begin() + first);
    for (const double value : code.row_value) row_values_.push_back(round_to_half(value));
    if (!layout_.row_column) return;
    for (int64_t j = 0; j < p.width; ++j)
      for (int64_t g = 0; g < code.groups(); ++g)
        if ((g < code.salient_groups) == (p.salient[j] != 0))
          for (int k = 0; k < code.order(g); ++k)
            column_values_.push_back(round_to_half(code.column_value[k][g * p.width + j]));
  }

  LowBitMatrix pack() const {
    LowBitMatrix out{.layout = layout_, .rows = rows_, .columns = columns_, .parts = {}};
    out.parts["signs"] = pack_codes(sign_[0], 1);
    out.parts["row_values"] = Tensor::of({static_cast<int64_t>(row_values_.size())}, row_values_);
    if (layout_.partitioned) {
      std::vector<uint8_t> residual;
      for (size_t at = 0; at < sign_[1].size(); ++at)
        if (salient_[at % salient_.size()]) residual.push_back(sign_[1][at]);
      out.parts["salient"] = pack_codes(salient_, 1);
      out.parts["groups"] = pack_codes(groups_, layout_.group_bits());
      out.parts["residual_signs"] = pack_codes(residual, 1);
    }
    if (layout_.row_column)
      out.parts["column_values"] =
          Tensor::of({static_cast<int64_t>(column_values_.size())}, column_values_);
    return out;
  }

 private:
  BinaryLayout layout_;
  int64_t rows_, columns_;
  std::vector<uint8_t> salient_, groups_, sign_[2];
  std::vector<half_t> row_values_, column_values_;
};

}  // namespace halftone
