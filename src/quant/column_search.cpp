// How many columns of a block are salient.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/quant/braq.h"
#include "halftone/quant/partition.h"

namespace halftone {
namespace {

constexpr int64_t kRowBlock = 32;

// Count and sum of the elements of a set that are >= a threshold.
struct Above {
  double count = 0, sum = 0;
};

Above above(const double* x, int64_t n, double threshold) {
  Above out;
  simd([&]() HT_INLINE {
    double count = 0, sum = 0;
#pragma omp simd reduction(+ : count, sum)
    for (int64_t j = 0; j < n; ++j) {
      const bool in = x[j] >= threshold;
      count += in ? 1.0 : 0.0;
      sum += in ? x[j] : 0.0;
    }
    out = {count, sum};
  });
  return out;
}

// ||x - BRAQ(x, 2)||^2 of a set known by its count, sum, sum of squares and above(threshold):
// each order k takes count (mu_k^2 + alpha_k^2) off the sum of squares, as alpha_k = mean |x - mu|.
// After the first, x splits at mu into two shifted halves, whose mean is mu_2 = -alpha mean(b).
template <class AboveOf>
double order_2_error(double count, double sum, double squares, const AboveOf& above_of) {
  if (count == 0) return 0;
  const double mu = sum / count;
  const Above a = above_of(mu - kTie * std::sqrt(squares / count));
  const double alpha = ((a.sum - a.count * mu) + ((count - a.count) * mu - (sum - a.sum))) / count;
  const double mu2 = -alpha * (2 * a.count - count) / count;
  const double high = mu + alpha + mu2, low = mu - alpha + mu2;
  const double rest = std::max(0.0, squares - count * (mu * mu + alpha * alpha));
  const double tie = kTie * std::sqrt(rest / count);
  const Above h = above_of(high - tie), l = above_of(low - tie);
  const double magnitude =
      (h.sum - h.count * high) + ((a.count - h.count) * high - (a.sum - h.sum)) +
      ((l.sum - a.sum) - (l.count - a.count) * low) + ((count - l.count) * low - (sum - l.sum));
  const double alpha2 = magnitude / count;
  return squares - count * (mu * mu + alpha * alpha + mu2 * mu2 + alpha2 * alpha2);
}

// Adds the errors of i = 1..K-1 salient columns, of one row.
void add_row_errors(const double* t, int64_t width, const std::vector<int64_t>& ranked,
                    std::vector<double>& sorted, std::vector<double>& prefix, double* errors) {
  sorted.assign(t, t + width);
  std::sort(sorted.begin(), sorted.end());
  prefix.resize(static_cast<size_t>(width) + 1);
  prefix[0] = 0;
  double squares = 0;
  for (int64_t j = 0; j < width; ++j) {
    prefix[j + 1] = prefix[j] + sorted[j];
    squares += sorted[j] * sorted[j];
  }
  const double total = prefix[width];
  double salient[64], salient_sum = 0, salient_squares = 0;
  for (size_t i = 0; i + 1 < ranked.size(); ++i) {
    const double x = salient[i] = t[ranked[i]];
    salient_sum += x;
    salient_squares += x * x;
    const int64_t n = static_cast<int64_t>(i) + 1;
    const auto of_salient = [&](double threshold) { return above(salient, n, threshold); };
    const auto of_rest = [&](double threshold) {
      const auto at = std::lower_bound(sorted.begin(), sorted.end(), threshold) - sorted.begin();
      const Above gone = of_salient(threshold);
      return Above{static_cast<double>(width - at) - gone.count, total - prefix[at] - gone.sum};
    };
    errors[i] += order_2_error(static_cast<double>(n), salient_sum, salient_squares, of_salient) +
                 order_2_error(static_cast<double>(width - n), total - salient_sum,
                               squares - salient_squares, of_rest);
  }
}

// Of |x|: order 2 without means leaves sum |x|^2 - n alpha^2 - n alpha_2^2.
void add_row_errors_without_mean(const double* t, int64_t width, const std::vector<int64_t>& ranked,
                                 double* errors) {
  double sum = 0, squares = 0, salient[64], salient_sum = 0, salient_squares = 0;
  for (int64_t j = 0; j < width; ++j) {
    sum += std::abs(t[j]);
    squares += t[j] * t[j];
  }
  for (size_t i = 0; i + 1 < ranked.size(); ++i) {
    const double x = salient[i] = std::abs(t[ranked[i]]);
    salient_sum += x;
    salient_squares += x * x;
    const double n = static_cast<double>(i) + 1, rest = static_cast<double>(width) - n;
    const double alpha = salient_sum / n;
    double magnitude = 0;
    for (size_t k = 0; k <= i; ++k) magnitude += std::abs(salient[k] - alpha);
    const double alpha2 = magnitude / n, rest_sum = sum - salient_sum;
    errors[i] += salient_squares - n * (alpha * alpha + alpha2 * alpha2) +
                 (squares - salient_squares) - (rest > 0 ? rest_sum * rest_sum / rest : 0);
  }
}

// 1 + the first minimum over the candidates of errors summed over row blocks in their order.
template <class RowErrors>
int64_t best_count(const SearchBlock& block, size_t candidates, const RowErrors& row_errors) {
  if (candidates == 0) return 0;
  std::vector<std::vector<double>> parts(
      static_cast<size_t>((block.rows + kRowBlock - 1) / kRowBlock));
  parallel_for(block.rows, kRowBlock, [&](int64_t begin, int64_t end) {
    std::vector<double>& part = parts[begin / kRowBlock];
    part.assign(candidates, 0);
    row_errors(begin, end, part.data());
  });
  std::vector<double> errors(candidates, 0);
  for (const auto& part : parts)
    for (size_t i = 0; i < candidates; ++i) errors[i] += part[i];
  return static_cast<int64_t>(first_minimum(errors, sum_of_squares(block))) + 1;
}

}  // namespace

int64_t salient_count(const SearchBlock& block, const std::vector<int64_t>& ranked) {
  return best_count(block, ranked.size() - 1, [&](int64_t begin, int64_t end, double* errors) {
    std::vector<double> sorted, prefix;
    for (int64_t i = begin; i < end; ++i)
      add_row_errors(block.t.data() + i * block.width, block.width, ranked, sorted, prefix, errors);
  });
}

int64_t salient_count_without_mean(const SearchBlock& block, const std::vector<int64_t>& ranked) {
  return best_count(block, ranked.size() - 1, [&](int64_t begin, int64_t end, double* errors) {
    for (int64_t i = begin; i < end; ++i)
      add_row_errors_without_mean(block.t.data() + i * block.width, block.width, ranked, errors);
  });
}

}  // namespace halftone
