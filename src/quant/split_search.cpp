// Where a block's elements split into a hi and a lo part.
#include <algorithm>
#include <cmath>
#include <limits>

#include "braq_error.h"
#include "candidate_errors.h"
#include "halftone/base/threads.h"
#include "halftone/quant/partition.h"
#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

// A tile of rows: their active elements sorted, the others behind them as infinite ones.
struct Tile {
  explicit Tile(int64_t width)
      : numbers(static_cast<size_t>(kLanes * (3 * width + 2))),
        x(reinterpret_cast<Lanes*>(numbers.data())),
        sorted{width, x, x + width, x + 2 * width + 1} {}

  std::vector<double> numbers;
  Lanes* x;
  SortedLanes sorted;
  Lanes count;  // of active elements
};

HT_INLINE inline void load_active(const SearchBlock& block, const uint8_t* active, int64_t row,
                                  int64_t rows, Tile& tile) {
  const int64_t width = block.width;
  load_lanes(block.t.data() + row * width, rows, width, tile.x);
  tile.count = Lanes{};
  for (int64_t l = 0; l < kLanes; ++l)
    for (int64_t j = 0; j < width; ++j)
      if (l < rows && active[(row + l) * width + j])
        tile.count[l] += 1;
      else
        tile.x[j][l] = std::numeric_limits<double>::infinity();
  sort_and_sum(tile.sorted);
}

// lo = |x| < p is one interval of the sorted numbers, hi the two tails beside it.
struct Interval {
  int64_t first[kLanes], last[kLanes];
};

HT_INLINE inline void find_interval(const Tile& tile, double p, Interval& out) {
  // Above -p = from the next number on.
  const double next = std::nextafter(-p, std::numeric_limits<double>::infinity());
  count_below(tile.x, tile.sorted.n, next - Lanes{}, out.first);
  count_below(tile.x, tile.sorted.n, p - Lanes{}, out.last);
  for (int64_t l = 0; l < kLanes; ++l) out.last[l] = std::max(out.first[l], out.last[l]);
}

// What lies at or above a threshold: of the interval, or of the tails.
template <bool hi>
HT_INLINE inline void above(const Tile& tile, const Interval& lo, const Lanes& threshold,
                            LanesAbove& out) {
  const SortedLanes& s = tile.sorted;
  int64_t at[kLanes], left[kLanes], right[kLanes];
  count_below(s.x, s.n, threshold, at);
  Lanes a, b, c, d, total = s.sums[s.n];
  if constexpr (hi) {
    for (int64_t l = 0; l < kLanes; ++l) {
      left[l] = std::min(at[l], lo.first[l]);
      right[l] = std::max(at[l], lo.last[l]);
      out.count[l] = static_cast<double>(lo.first[l] - left[l] - right[l]) + tile.count[l];
    }
    pick(s.sums, lo.first, a);
    pick(s.sums, left, b);
    pick(s.sums, right, d);
    out.sum = (a - b) + (total - d);
  } else {
    for (int64_t l = 0; l < kLanes; ++l) {
      right[l] = std::min(std::max(at[l], lo.first[l]), lo.last[l]);
      out.count[l] = static_cast<double>(lo.last[l] - right[l]);
    }
    pick(s.sums, lo.last, c);
    pick(s.sums, right, d);
    out.sum = c - d;
  }
}

template <int order>
HT_INLINE inline void add_split_errors(const Tile& tile, const double* candidates, int64_t count,
                                       double* errors) {
  const SortedLanes& s = tile.sorted;
  for (int64_t k = 0; k < count; ++k) {
    Interval interval;
    find_interval(tile, candidates[k], interval);
    LaneSet lo, hi;
    Lanes before;
    for (int64_t l = 0; l < kLanes; ++l)
      lo.count[l] = static_cast<double>(interval.last[l] - interval.first[l]);
    pick(s.sums, interval.last, lo.sum);
    pick(s.sums, interval.first, before);
    lo.sum -= before;
    pick(s.squares, interval.last, lo.squares);
    pick(s.squares, interval.first, before);
    lo.squares -= before;
    hi = {tile.count - lo.count, s.sums[s.n] - lo.sum, s.squares[s.n] - lo.squares};
    const auto above_lo = [&](const Lanes& threshold, LanesAbove& out)
                              HT_INLINE { above<false>(tile, interval, threshold, out); };
    const auto above_hi = [&](const Lanes& threshold, LanesAbove& out)
                              HT_INLINE { above<true>(tile, interval, threshold, out); };
    Lanes error{};
    if constexpr (order == 1) {
      add_order_1_error(lo, above_lo, error);
      add_order_1_error(hi, above_hi, error);
    } else {
      add_order_2_error(lo, above_lo, error);
      add_order_2_error(hi, above_hi, error);
    }
    errors[k] += sum_of(error);
  }
}

// |x| - its mean, in the parts |x| >= p and |x| < p: no part has a mean of x.
HT_INLINE inline void add_errors_without_mean(const Tile& tile, const double* candidates,
                                              int64_t count, double* errors) {
  for (int64_t k = 0; k < count; ++k) {
    Lanes squares{}, sum{}, hi_sum{}, hi_count{};
    for (int64_t j = 0; j < tile.sorted.n; ++j) {
      Lanes x = tile.x[j] < 0.0 ? -tile.x[j] : tile.x[j];
      x = x < std::numeric_limits<double>::infinity() ? x : Lanes{};
      sum += x;
      squares += x * x;
      hi_sum += x >= candidates[k] ? x : Lanes{};
      hi_count += x >= candidates[k] ? 1.0 - Lanes{} : Lanes{};
    }
    const Lanes lo_count = tile.count - hi_count, lo_sum = sum - hi_sum;
    errors[k] += sum_of(squares - (hi_count > 0.0 ? hi_sum * hi_sum / hi_count : Lanes{}) -
                        (lo_count > 0.0 ? lo_sum * lo_sum / lo_count : Lanes{}));
  }
}

// The candidate with the first least sum over tiles of tile_errors(tile, candidates, errors).
template <class TileErrors>
double first_best(const SearchBlock& block, const std::vector<uint8_t>& active,
                  const std::vector<double>& candidates, const TileErrors& tile_errors) {
  const size_t count = candidates.size();
  const std::vector<double> errors = candidate_errors(
      block, count, [&] { return Tile(block.width); },
      [&](Tile& tile, int64_t row, int64_t rows, double* sums) HT_INLINE {
        load_active(block, active.data(), row, rows, tile);
        tile_errors(tile, candidates.data(), static_cast<int64_t>(count), sums);
      });
  return candidates[first_minimum(errors, sum_of_squares(block))];
}

}  // namespace

double best_split(const SearchBlock& block, const std::vector<uint8_t>& active,
                  const std::vector<double>& candidates) {
  return first_best(block, active, candidates,
                    [](const auto&... of) HT_INLINE { add_split_errors<1>(of...); });
}

double best_split_without_mean(const SearchBlock& block, const std::vector<uint8_t>& active,
                               const std::vector<double>& candidates) {
  return first_best(block, active, candidates,
                    [](const auto&... of) HT_INLINE { add_errors_without_mean(of...); });
}

double best_split_of_order_2(const SearchBlock& block, const std::vector<uint8_t>& active,
                             const std::vector<double>& candidates) {
  return first_best(block, active, candidates,
                    [](const auto&... of) HT_INLINE { add_split_errors<2>(of...); });
}

double best_split_by_output(const SearchBlock& block, const std::vector<uint8_t>& active,
                            const std::vector<double>& candidates,
                            const std::vector<double>& residual, const std::vector<double>& s) {
  const int64_t b = block.width;
  std::vector<double> errors;
  for (const double p : candidates)
    errors.push_back(parallel_sum(block.rows, 256, [&](int64_t begin, int64_t end) {
      std::vector<double> r(residual.begin() + begin * b, residual.begin() + end * b), x[2], rs;
      std::vector<int64_t> columns[2];
      BinaryRow row;
      for (int64_t i = begin; i < end; ++i) {
        for (int part = 0; part < 2; ++part) {
          x[part].clear();
          columns[part].clear();
        }
        for (int64_t j = 0; j < b; ++j)
          if (active[i * b + j]) {
            const double value = block.t[i * b + j];
            const int part = std::abs(value) >= p;
            x[part].push_back(value);
            columns[part].push_back(j);
          }
        for (int part = 0; part < 2; ++part) {
          braq(x[part], 1, row);
          for (size_t k = 0; k < x[part].size(); ++k)
            r[(i - begin) * b + columns[part][k]] = x[part][k] - row.value(static_cast<int64_t>(k));
        }
      }
      rs.resize(r.size());
      gemm(Transpose::no, Transpose::no, end - begin, b, b, 1.0, r.data(), b, s.data(), b, 0.0,
           rs.data(), b);
      double sum = 0;
      for (size_t k = 0; k < r.size(); ++k) sum += r[k] * rs[k];
      return sum;
    }));
  return candidates[first_minimum(errors, *std::max_element(errors.begin(), errors.end()))];
}

}  // namespace halftone
