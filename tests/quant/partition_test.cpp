// The searches by sorted values and prefix sums against plain loops over every candidate.
#include "halftone/quant/partition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "halftone/quant/braq.h"
#include "halftone/quant/quantiles.h"
#include "quant_testing.h"

namespace halftone {
namespace {

using testing::random_numbers;

SearchBlock random_block(int64_t rows, int64_t width, uint64_t stream, bool squared) {
  SearchBlock out{.rows = rows, .width = width, .t = random_numbers(rows * width, stream, 1)};
  if (squared)
    for (double& t : out.t) t *= t;
  return out;
}

std::vector<int64_t> ranked(const SearchBlock& block) {
  std::vector<double> sums(static_cast<size_t>(block.width), 0);
  for (size_t k = 0; k < block.t.size(); ++k) sums[k % block.width] += std::abs(block.t[k]);
  std::vector<int64_t> order(sums.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return sums[a] > sums[b]; });
  order.resize(static_cast<size_t>(std::min<int64_t>(50, block.width)));
  return order;
}

// ||T - BRAQ(T, part, order)||^2 over the elements where in(row, column).
template <class In>
double part_error(const SearchBlock& block, int order, const In& in) {
  double sum = 0;
  BinaryRow row;
  for (int64_t i = 0; i < block.rows; ++i) {
    std::vector<double> x;
    for (int64_t j = 0; j < block.width; ++j)
      if (in(i, j)) x.push_back(block.t[i * block.width + j]);
    braq(x, order, row);
    sum += squared_error(x, row);
  }
  return sum;
}

TEST(ColumnSearch, FindsWhatThePlainLoopFinds) {
  for (uint64_t problem = 0; problem < 12; ++problem) {
    const int64_t width = std::array<int64_t, 3>{128, 64, 30}[problem % 3];
    const SearchBlock block = random_block(40, width, 40 + problem, problem % 2);
    const auto order = ranked(block);
    double least = INFINITY;
    int64_t expected = 0;
    for (size_t i = 1; i < order.size(); ++i) {
      const auto salient = [&](int64_t j) {
        return std::find(order.begin(), order.begin() + static_cast<int64_t>(i), j) !=
               order.begin() + static_cast<int64_t>(i);
      };
      const double error = part_error(block, 2, [&](int64_t, int64_t j) { return salient(j); }) +
                           part_error(block, 2, [&](int64_t, int64_t j) { return !salient(j); });
      if (error < least) {
        least = error;
        expected = static_cast<int64_t>(i);
      }
    }
    EXPECT_EQ(salient_count(block, order), expected) << problem;
  }
}

TEST(SplitSearch, FindsWhatThePlainLoopFinds) {
  for (uint64_t problem = 0; problem < 12; ++problem) {
    const SearchBlock block = random_block(40, 96, 60 + problem, problem % 2);
    std::vector<uint8_t> active(block.t.size(), 1);
    for (size_t k = 0; k < active.size(); ++k) active[k] = k % 96 > 7;
    std::vector<double> sizes;
    for (size_t k = 0; k < active.size(); ++k)
      sizes.push_back(active[k] ? std::abs(block.t[k]) : 0);
    const auto candidates = quantiles(sizes, 0.90);
    ASSERT_EQ(candidates.size(), 81u);
    for (const int order : {1, 2}) {
      double least = INFINITY, expected = 0;
      for (const double p : candidates) {
        const auto is = [&](bool hi) {
          return [&, hi](int64_t i, int64_t j) {
            const int64_t k = i * 96 + j;
            return active[k] && (std::abs(block.t[k]) >= p) == hi;
          };
        };
        const double error =
            part_error(block, order, is(false)) + part_error(block, order, is(true));
        if (error < least) {
          least = error;
          expected = p;
        }
      }
      EXPECT_EQ(order == 1 ? best_split(block, active, candidates)
                           : best_split_of_order_2(block, active, candidates),
                expected)
          << problem;
    }
  }
}

TEST(Partition, PutsEveryElementIntoOneGroupAndTheLargestIntoHi) {
  const SearchBlock block = random_block(30, 128, 80, false);
  const std::vector<double> u(128, 1.0);
  const BlockPartition p = partition_block(block, u, {}, {.num_p = 3});
  EXPECT_GT(std::count(p.salient.begin(), p.salient.end(), 1), 0);
  std::array<int64_t, 4> rest{};
  double least_hi = INFINITY, most_lo = 0;
  for (size_t k = 0; k < p.group.size(); ++k) {
    if (p.salient[k % 128]) {
      EXPECT_LE(p.group[k], 1);
      continue;
    }
    ++rest.at(p.group[k]);
    const double t = block.t[k] * block.t[k];
    if (p.group[k] == 1) least_hi = std::min(least_hi, t);
    if (p.group[k] == 0) most_lo = std::max(most_lo, t);
  }
  for (const int64_t count : rest) EXPECT_GT(count, 0);
  EXPECT_GE(least_hi, most_lo);
}

}  // namespace
}  // namespace halftone
