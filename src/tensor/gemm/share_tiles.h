// How threads share out the product of a few tokens with matrices whose rows lie in tiles.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "halftone/base/threads.h"

namespace halftone {

// A task a thread where the work is done in microseconds, as that of small models is.
inline int64_t tasks_of(int64_t weights) {
  constexpr int64_t kSmall = int64_t{1} << 23;
  return (weights < kSmall ? 1 : 8) * threads();
}

// body(product, begin, end) for the tiles of all products, .w of each, as if they stood in one row;
// a range begins at a multiple of `step` tiles.
template <class Product, class Body>
void share_tiles(const std::vector<Product>& products, int64_t step, const Body& body) {
  int64_t steps = 0, weights = 0;
  for (const Product& p : products) {
    steps += divide_up(p.w.tiles(), step);
    weights += p.w.rows * p.w.columns;
  }
  parallel_for(steps, divide_up(steps, tasks_of(weights)), [&](int64_t begin, int64_t end) {
    int64_t first = 0;  // step of a product
    for (const Product& p : products) {
      const int64_t from = std::max(begin - first, int64_t{0}) * step,
                    to = std::min((end - first) * step, p.w.tiles());
      if (from < to) body(p, from, to);
      first += divide_up(p.w.tiles(), step);
    }
  });
}

}  // namespace halftone
