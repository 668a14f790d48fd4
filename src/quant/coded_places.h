// Where the columns of a coded matrix are: its positions, and the groups that they are in.
#pragma once

#include <string>
#include <vector>

#include "halftone/quant/low_bit_matrix.h"
#include "halftone/tensor/coded_matrix.h"

namespace halftone {

using Groups = std::vector<std::vector<int32_t>>;  // of each the columns, in their order

// Columns of a group, the last of which may have fewer.
int64_t group_width(const LowBitLayout& layout, int64_t columns);

// Of each of `parts` parts its groups, from the parts of a low-bit matrix: the first has the
// columns that are not salient, the second the salient ones.
std::vector<Groups> columns_in_groups(const LowBitMatrix& matrix, size_t parts);

// Each group begins with a chunk.
void set_places(const Groups& groups, CodedPart& part);
Groups places_of(const CodedPart& part);

// 1 for the columns that a part has.
std::vector<uint8_t> columns_of(const CodedPart& part, int64_t columns);

// Throws Error(format), `where` in front: positions are whole chunks of columns below `columns`,
// which the ends of the groups divide.
void check_places(const CodedPart& part, int64_t columns, const std::string& where);

// Whether groups are those of some matrix of the layout, each column having one place.
bool are_places(const LowBitLayout& layout, int64_t columns, const std::vector<Groups>& parts);

// Calls visit(position, column, group) for every place that has a column.
template <class Visit>
void for_each_place(const CodedPart& part, const Visit& visit) {
  const int32_t *columns = part.columns.data<int32_t>(), *ends = part.ends.data<int32_t>();
  for (int64_t g = 0, at = 0; g < part.groups(); ++g)
    for (; at < ends[g] * CodedPart::kColumns; ++at)
      if (columns[at] >= 0) visit(at, static_cast<int64_t>(columns[at]), g);
}

}  // namespace halftone
