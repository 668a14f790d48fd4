#include "halftone/quant/partition.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "halftone/base/threads.h"
#include "halftone/quant/arb.h"
#include "halftone/quant/quantiles.h"

namespace halftone {
namespace {

constexpr int64_t kMostSalient = 50;

// body(place, column) of every element.
template <class Body>
void for_each_element(const SearchBlock& t, const Body& body) {
  parallel_for(t.rows, 32, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < t.width; ++j) body(i * t.width + j, j);
  });
}

// T of methods 4.1: w^2 / U_jj^2, or W.
SearchBlock saliency(const SearchBlock& w, const std::vector<double>& u) {
  SearchBlock out = w;
  for_each_element(w, [&](int64_t k, int64_t j) { out.t[k] = w.t[k] * w.t[k] / (u[j] * u[j]); });
  return out;
}

// Columns by falling sum of |T|, ties by index, the first 50.
std::vector<int64_t> ranked_columns(const SearchBlock& t) {
  std::vector<double> sums(static_cast<size_t>(t.width), 0);
  for (int64_t i = 0; i < t.rows; ++i)
    for (int64_t j = 0; j < t.width; ++j) sums[j] += std::abs(t.t[i * t.width + j]);
  std::vector<int64_t> order(sums.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return sums[a] > sums[b]; });
  order.resize(static_cast<size_t>(std::min(kMostSalient, t.width)));
  return order;
}

// |T| of all elements, those that are not active as 0.
std::vector<double> magnitudes(const SearchBlock& t, const std::vector<uint8_t>& active) {
  std::vector<double> out(t.t.size());
  for_each_element(t, [&](int64_t k, int64_t) { out[k] = active[k] ? std::abs(t.t[k]) : 0; });
  return out;
}

// What is left of T outside the active elements by ARB of order 2 on the salient columns and BRAQ
// of order 1 on groups that are already split off: ARB-X's criterion sees it.
std::vector<double> fixed_residual(const SearchBlock& t, const BlockPartition& p, int iterations) {
  std::vector<double> out(t.t.size(), 0);
  const int groups = 1 + *std::max_element(p.group.begin(), p.group.end());
  parallel_for(t.rows, 32, [&](int64_t begin, int64_t end) {
    std::vector<double> x;
    std::vector<int64_t> at;
    BinaryRow row;
    for (int64_t i = begin; i < end; ++i)
      for (int g = -1; g < groups; ++g) {  // -1: the salient ones; 0 is still active
        if (g == 0) continue;
        x.clear();
        at.clear();
        for (int64_t k = i * t.width; k < (i + 1) * t.width; ++k) {
          const bool salient = p.salient[k % t.width];
          if (g < 0 ? salient : !salient && p.group[k] == g) {
            x.push_back(t.t[k]);
            at.push_back(k);
          }
        }
        arb(x, g < 0 ? 2 : 1, g < 0 ? iterations : 0, row);
        for (size_t k = 0; k < x.size(); ++k)
          out[at[k]] = x[k] - row.value(static_cast<int64_t>(k));
      }
  });
  return out;
}

void split_rest(const SearchBlock& t, const std::vector<double>& s, const PtqSettings& settings,
                BlockPartition& out) {
  std::vector<uint8_t> active(t.t.size());
  for_each_element(t, [&](int64_t k, int64_t j) { active[k] = !out.salient[j]; });
  for (int64_t split = 1; split <= settings.num_p; ++split) {
    double p = 0;
    if (settings.search == Search::paper) {
      double largest = 0;
      for (const double x : t.t) largest = std::max(largest, std::abs(x));
      std::vector<double> candidates;
      for (int i = 1; i <= 9; ++i) candidates.push_back(i / 10.0 * largest);
      p = best_split_without_mean(t, active, candidates);
    } else {
      const std::vector<double> candidates =
          quantiles(magnitudes(t, active), settings.percentile_max);
      p = s.empty() ? best_split(t, active, candidates)
                    : best_split_by_output(
                          t, active, candidates,
                          fixed_residual(t, out, static_cast<int>(settings.iterations)), s);
    }
    for_each_element(t, [&](int64_t k, int64_t) {
      if (!active[k] || std::abs(t.t[k]) < p) return;
      out.group[k] = static_cast<uint8_t>(split);
      active[k] = 0;
    });
  }
}

void split_salient(const SearchBlock& t, const PtqSettings& settings, BlockPartition& out) {
  std::vector<uint8_t> active(t.t.size());
  for_each_element(t, [&](int64_t k, int64_t j) { active[k] = out.salient[j]; });
  std::vector<double> sizes;
  for (size_t k = 0; k < active.size(); ++k)
    if (active[k] && t.t[k] != 0) sizes.push_back(std::abs(t.t[k]));
  if (sizes.empty()) return;
  const double p = best_split_of_order_2(t, active, quantiles(sizes, settings.percentile_max));
  for_each_element(t, [&](int64_t k, int64_t) {
    if (active[k]) out.group[k] = std::abs(t.t[k]) >= p;
  });
}

}  // namespace

size_t first_minimum(const std::vector<double>& errors, double scale) {
  const double most = *std::min_element(errors.begin(), errors.end()) + 1e-12 * scale;
  return static_cast<size_t>(
      std::find_if(errors.begin(), errors.end(), [&](double e) { return e <= most; }) -
      errors.begin());
}

double sum_of_squares(const SearchBlock& block) {
  return parallel_sum(block.rows, 32, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t k = begin * block.width; k < end * block.width; ++k)
      sum += block.t[k] * block.t[k];
    return sum;
  });
}

BlockPartition partition_block(const SearchBlock& w, const std::vector<double>& u_diagonal,
                               const std::vector<double>& s, const PtqSettings& settings) {
  BlockPartition out{.rows = w.rows,
                     .width = w.width,
                     .salient = std::vector<uint8_t>(static_cast<size_t>(w.width), 0),
                     .group = std::vector<uint8_t>(w.t.size(), 0)};
  const bool squared = settings.metric == Metric::hessian && settings.search != Search::magnitude;
  const SearchBlock t = squared ? saliency(w, u_diagonal) : w;
  const std::vector<int64_t> ranked = ranked_columns(t);
  const bool paper = settings.search == Search::paper;
  const int64_t count = paper ? salient_count_without_mean(w, ranked) : salient_count(t, ranked);
  for (int64_t i = 0; i < count; ++i) out.salient[ranked[i]] = 1;
  const SearchBlock& domain = paper ? w : t;
  split_rest(domain, s, settings, out);
  if (settings.cgb) split_salient(domain, settings, out);
  return out;
}

}  // namespace halftone
