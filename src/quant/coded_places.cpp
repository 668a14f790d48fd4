// The order of the columns of a coded matrix.
#include "coded_places.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/rounding.h"
#include "halftone/quant/packed_codes.h"

namespace halftone {

constexpr int64_t kColumns = CodedPart::kColumns;

int64_t group_width(const LowBitLayout& layout, int64_t columns) {
  const int64_t width = std::visit(
      [](const auto& l) {
        if constexpr (requires { l.blocksize; })
          return l.blocksize;
        else
          return l.group_size;
      },
      layout);
  return width ? width : columns;
}

void set_places(const Groups& groups, CodedPart& part) {
  std::vector<int32_t> columns, ends;
  for (const auto& group : groups) {
    columns.insert(columns.end(), group.begin(), group.end());
    columns.resize(static_cast<size_t>(round_up(static_cast<int64_t>(columns.size()), kColumns)),
                   -1);
    ends.push_back(static_cast<int32_t>(static_cast<int64_t>(columns.size()) / kColumns));
  }
  part.columns = Tensor::of({static_cast<int64_t>(columns.size())}, columns);
  part.ends = Tensor::of({static_cast<int64_t>(ends.size())}, ends);
}

Groups places_of(const CodedPart& part) {
  Groups out(static_cast<size_t>(part.groups()));
  for_each_place(part, [&](int64_t, int64_t column, int64_t group) {
    out[group].push_back(static_cast<int32_t>(column));
  });
  return out;
}

std::vector<Groups> columns_in_groups(const LowBitMatrix& m, size_t parts) {
  const int64_t width = group_width(m.layout, m.columns), count = divide_up(m.columns, width);
  std::vector<uint8_t> salient(static_cast<size_t>(m.columns), 0);
  if (const auto it = m.parts.find("salient"); it != m.parts.end())
    salient = unpack_codes(it->second, m.columns, 1);
  const auto order = m.parts.find("column_order");
  const int32_t* ordered = order == m.parts.end() ? nullptr : order->second.data<int32_t>();
  std::vector<Groups> out(parts, Groups(static_cast<size_t>(count)));
  for (int64_t p = 0; p < m.columns; ++p) {
    const auto column = ordered ? ordered[p] : static_cast<int32_t>(p);
    out[salient[column]][p / width].push_back(column);
  }
  return out;
}

bool are_places(const LowBitLayout& layout, int64_t columns, const std::vector<Groups>& parts) {
  const auto* uniform = std::get_if<UniformLayout>(&layout);
  const int64_t width = group_width(layout, columns), count = divide_up(columns, width);
  std::vector<uint8_t> seen(static_cast<size_t>(columns), 0);
  int64_t places = 0;
  for (const Groups& groups : parts) {
    int64_t g = 0;
    for (const auto& group : groups) {
      for (const int32_t column : group) {
        if (seen[column]++) return false;
        if (!(uniform && uniform->ordered) && column / width != g) return false;
        ++places;
      }
      if (uniform && static_cast<int64_t>(group.size()) != std::min(width, columns - g * width))
        return false;
      if (!(uniform && uniform->ordered) && !std::ranges::is_sorted(group)) return false;
      ++g;
    }
    if (g != count) return false;
  }
  return places == columns;
}

void check_places(const CodedPart& part, int64_t columns, const std::string& where) {
  const int32_t *at = part.columns.data<int32_t>(), *ends = part.ends.data<int32_t>();
  bool fits = part.positions() % kColumns == 0;
  for (int64_t p = 0; p < part.positions(); ++p) fits = fits && at[p] >= -1 && at[p] < columns;
  int64_t before = 0;
  for (int64_t g = 0; g < part.groups(); ++g) {
    fits = fits && ends[g] >= before;
    before = ends[g];
  }
  if (!fits || before * kColumns != part.positions())
    throw_error(ErrorKind::format, "{}ends' do not divide the {} positions of 'columns'", where,
                part.positions());
}

std::vector<uint8_t> columns_of(const CodedPart& part, int64_t columns) {
  std::vector<uint8_t> out(static_cast<size_t>(columns), 0);
  for_each_place(part, [&](int64_t, int64_t column, int64_t) { out[column] = 1; });
  return out;
}

}  // namespace halftone
