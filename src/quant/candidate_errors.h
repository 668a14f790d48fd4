// Errors of a search's candidates, summed over a block's rows.
#pragma once

#include <vector>

#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "halftone/quant/partition.h"
#include "row_lanes.h"

namespace halftone {

// The sums, over row blocks in their order, of what add(tile, row, rows, errors) adds to `count`
// errors for the tile of kLanes rows at `row`, of which there are `rows`; it runs inside simd().
// make_tile() gives each row block the room that its tiles share.
template <class MakeTile, class Add>
std::vector<double> candidate_errors(const SearchBlock& block, size_t count,
                                     const MakeTile& make_tile, const Add& add) {
  constexpr int64_t kRowBlock = 32;
  std::vector<std::vector<double>> parts(static_cast<size_t>(divide_up(block.rows, kRowBlock)));
  parallel_for(block.rows, kRowBlock, [&](int64_t begin, int64_t end) {
    std::vector<double>& part = parts[begin / kRowBlock];
    part.assign(count, 0);
    auto tile = make_tile();
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; i += kLanes) add(tile, i, end - i, part.data());
    });
  });
  std::vector<double> errors(count, 0);
  for (const auto& part : parts)
    for (size_t k = 0; k < count; ++k) errors[k] += part[k];
  return errors;
}

}  // namespace halftone
