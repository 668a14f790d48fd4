// How many columns of a block are salient.
#include <algorithm>

#include "braq_error.h"
#include "candidate_errors.h"
#include "halftone/quant/partition.h"

namespace halftone {
namespace {

// What the rows of a tile share while columns are added to the salient ones.
struct Tile {
  Tile(int64_t width, size_t most)
      : numbers(static_cast<size_t>(kLanes * (4 * width + 2 + static_cast<int64_t>(most)))),
        values(reinterpret_cast<Lanes*>(numbers.data())),
        sorted{width, values + width, values + 2 * width, values + 3 * width + 1},
        salient(values + 4 * width + 2) {}

  std::vector<double> numbers;
  Lanes* values;  // by column
  SortedLanes sorted;
  Lanes* salient;  // by rank
};

HT_INLINE inline void above(const Lanes* x, int64_t n, const Lanes& threshold, LanesAbove& out) {
  Lanes count{}, sum{};
  for (int64_t j = 0; j < n; ++j) {
    count += x[j] >= threshold ? 1.0 - Lanes{} : Lanes{};
    sum += x[j] >= threshold ? x[j] : Lanes{};
  }
  out = {count, sum};
}

// Adds the errors of i = 1..K-1 salient columns, order 2 on them and on the others.
HT_INLINE inline void add_tile_errors(const Tile& tile, const int64_t* ranked, int64_t candidates,
                                      double* errors) {
  const SortedLanes& sorted = tile.sorted;
  const int64_t width = sorted.n;
  std::copy_n(tile.values, width, sorted.x);
  sort_and_sum(sorted);
  const Lanes total = sorted.sums[width], squares = sorted.squares[width];
  Lanes sum{}, salient_squares{};
  for (int64_t i = 0; i < candidates; ++i) {
    const Lanes x = tile.salient[i] = tile.values[ranked[i]];
    sum += x;
    salient_squares += x * x;
    const int64_t n = i + 1;
    const auto of_salient = [&](const Lanes& threshold, LanesAbove& out)
                                HT_INLINE { above(tile.salient, n, threshold, out); };
    const auto of_rest = [&](const Lanes& threshold, LanesAbove& out) HT_INLINE {
      LanesAbove gone;
      above(tile.salient, n, threshold, gone);
      int64_t at[kLanes];
      count_below(sorted.x, width, threshold, at);
      pick(sorted.sums, at, out.sum);
      out.sum = total - out.sum - gone.sum;
      for (int64_t l = 0; l < kLanes; ++l) out.count[l] = static_cast<double>(width - at[l]);
      out.count -= gone.count;
    };
    const Lanes count = static_cast<double>(n) - Lanes{};
    Lanes error{};
    add_order_2_error({count, sum, salient_squares}, of_salient, error);
    add_order_2_error({static_cast<double>(width) - count, total - sum, squares - salient_squares},
                      of_rest, error);
    errors[i] += sum_of(error);
  }
}

// Of |x|: order 2 without means leaves sum |x|^2 - n alpha^2 - n alpha_2^2.
HT_INLINE inline void add_tile_errors_without_mean(const Tile& tile, const int64_t* ranked,
                                                   int64_t candidates, double* errors) {
  const int64_t width = tile.sorted.n;
  Lanes sum{}, squares{}, salient_sum{}, salient_squares{};
  for (int64_t j = 0; j < width; ++j) {
    const Lanes x = tile.values[j];
    sum += x < 0.0 ? -x : x;
    squares += x * x;
  }
  for (int64_t i = 0; i < candidates; ++i) {
    const Lanes signed_x = tile.values[ranked[i]], x = signed_x < 0.0 ? -signed_x : signed_x;
    tile.salient[i] = x;
    salient_sum += x;
    salient_squares += x * x;
    const double n = static_cast<double>(i) + 1, rest = static_cast<double>(width) - n;
    const Lanes alpha = salient_sum / n, rest_sum = sum - salient_sum;
    Lanes magnitude{};
    for (int64_t k = 0; k <= i; ++k) {
      const Lanes d = tile.salient[k] - alpha;
      magnitude += d < 0.0 ? -d : d;
    }
    const Lanes alpha2 = magnitude / n;
    errors[i] += sum_of(salient_squares - n * (alpha * alpha + alpha2 * alpha2) +
                        (squares - salient_squares) - rest_sum * rest_sum / rest);
  }
}

// 1 + the first minimum over the candidates of errors summed over the rows.
template <class TileErrors>
int64_t best_count(const SearchBlock& block, const std::vector<int64_t>& ranked,
                   const TileErrors& tile_errors) {
  const size_t candidates = ranked.size() - 1;
  if (candidates == 0) return 0;
  const std::vector<double> errors = candidate_errors(
      block, candidates, [&] { return Tile(block.width, candidates); },
      [&](const Tile& tile, int64_t row, int64_t rows, double* sums) HT_INLINE {
        load_lanes(block.t.data() + row * block.width, rows, block.width, tile.values);
        tile_errors(tile, ranked.data(), static_cast<int64_t>(candidates), sums);
      });
  return static_cast<int64_t>(first_minimum(errors, sum_of_squares(block))) + 1;
}

}  // namespace

int64_t salient_count(const SearchBlock& block, const std::vector<int64_t>& ranked) {
  return best_count(block, ranked, [](const auto&... of) HT_INLINE { add_tile_errors(of...); });
}

int64_t salient_count_without_mean(const SearchBlock& block, const std::vector<int64_t>& ranked) {
  return best_count(block, ranked,
                    [](const auto&... of) HT_INLINE { add_tile_errors_without_mean(of...); });
}

}  // namespace halftone
