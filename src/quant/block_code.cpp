#include "halftone/quant/block_code.h"

#include "halftone/base/threads.h"
#include "halftone/quant/arb.h"
#include "halftone/quant/grid.h"

namespace halftone {

BlockCode::BlockCode(BlockPartition p, bool cgb, int64_t num_p, bool partitioned, bool rc)
    : partition(std::move(p)),
      salient_groups(partitioned ? (cgb ? 2 : 1) : 0),
      rest_groups(partitioned ? num_p + 1 : 1),
      row_column(rc),
      row_values(rc ? 2 * salient_groups + rest_groups : 3 * salient_groups + 2 * rest_groups) {
  const size_t size = partition.group.size();
  for (auto& plane : sign) plane.assign(size, 0);
  row_value.assign(static_cast<size_t>(partition.rows * row_values), 0);
  if (rc)
    for (auto& values : column_value)
      values.assign(static_cast<size_t>(groups() * partition.width), 0);
}

int64_t BlockCode::group_of(int64_t row, int64_t column) const {
  const int64_t number = partition.group[row * partition.width + column];
  if (partition.salient[column]) return salient_groups == 2 ? number : 0;
  return salient_groups + number;
}

int64_t BlockCode::first_value(int64_t group) const {
  const int64_t salient = std::min(group, salient_groups), rest = group - salient;
  return row_column ? 2 * salient + rest : 3 * salient + 2 * rest;
}

double BlockCode::value(int64_t row, int64_t column) const {
  const int64_t at = row * partition.width + column, g = group_of(row, column);
  const double* numbers = row_value.data() + row * row_values + first_value(g);
  double out = 0;
  for (int k = 0; k < order(g); ++k) {
    const double scale =
        row_column ? numbers[k] * column_value[k][g * partition.width + column] : numbers[k];
    out += sign[k][at] ? -scale : scale;
  }
  return row_column ? out : out + numbers[order(g)];
}

void gather(const BlockCode& code, int64_t row, int64_t group, const double* w, GatheredRow& out) {
  out.columns.clear();
  out.x.clear();
  for (int64_t j = 0; j < code.partition.width; ++j)
    if (code.group_of(row, j) == group) {
      out.columns.push_back(j);
      out.x.push_back(w[row * code.partition.width + j]);
    }
}

void store_row(BlockCode& code, int64_t row, int64_t group, const GatheredRow& gathered,
               const BinaryRow& found) {
  double* numbers = code.row_value.data() + row * code.row_values + code.first_value(group);
  for (int k = 0; k < found.order; ++k) {
    numbers[k] = half_value(found.alpha[k]);
    for (size_t j = 0; j < gathered.columns.size(); ++j)
      code.sign[k][row * code.partition.width + gathered.columns[j]] = found.b[k][j] < 0;
  }
  numbers[found.order] = half_value(found.mu);
}

void binarise_groups(BlockCode& code, const std::vector<double>& w, int iterations) {
  parallel_for(code.partition.rows, 16, [&](int64_t begin, int64_t end) {
    GatheredRow gathered;
    BinaryRow found;
    for (int64_t i = begin; i < end; ++i)
      for (int64_t g = 0; g < code.groups(); ++g) {
        gather(code, i, g, w.data(), gathered);
        arb(gathered.x, code.order(g), iterations, found);
        store_row(code, i, g, gathered, found);
      }
  });
}

}  // namespace halftone
