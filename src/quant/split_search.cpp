// Where a block's elements split into a hi and a lo part.
#include <algorithm>
#include <cmath>
#include <limits>

#include "halftone/base/threads.h"
#include "halftone/quant/braq.h"
#include "halftone/quant/partition.h"
#include "halftone/tensor/gemm.h"

namespace halftone {
namespace {

constexpr int64_t kRowBlock = 32;

// The candidate with the first least sum over rows of row_errors(row, active values, errors).
template <class RowErrors>
double first_best(const SearchBlock& block, const std::vector<uint8_t>& active,
                  const std::vector<double>& candidates, const RowErrors& row_errors) {
  const size_t count = candidates.size();
  std::vector<std::vector<double>> parts(
      static_cast<size_t>((block.rows + kRowBlock - 1) / kRowBlock));
  parallel_for(block.rows, kRowBlock, [&](int64_t begin, int64_t end) {
    std::vector<double>& part = parts[begin / kRowBlock];
    part.assign(count, 0);
    std::vector<double> x;
    for (int64_t i = begin; i < end; ++i) {
      x.clear();
      for (int64_t j = 0; j < block.width; ++j)
        if (active[i * block.width + j]) x.push_back(block.t[i * block.width + j]);
      row_errors(x, part.data());
    }
  });
  std::vector<double> errors(count, 0);
  for (const auto& part : parts)
    for (size_t c = 0; c < count; ++c) errors[c] += part[c];
  return candidates[first_minimum(errors, sum_of_squares(block))];
}

// ||x - BRAQ(x, 1)||^2 from count, sum, sum of squares and what lies at or above the mean.
double order_1_error(double count, double sum, double squares, double above_count,
                     double above_sum) {
  if (count == 0) return 0;
  const double mu = sum / count, alpha = 2 * (above_sum - above_count * mu) / count;
  return squares - count * (mu * mu + alpha * alpha);
}

// lo = |x| < p is one interval of the sorted values, hi the two tails beside it.
void add_split_errors(std::vector<double>& x, const std::vector<double>& candidates,
                      std::vector<double>& sums, std::vector<double>& squares, double* errors) {
  std::sort(x.begin(), x.end());
  const size_t n = x.size();
  sums.assign(n + 1, 0);
  squares.assign(n + 1, 0);
  for (size_t j = 0; j < n; ++j) {
    sums[j + 1] = sums[j] + x[j];
    squares[j + 1] = squares[j] + x[j] * x[j];
  }
  size_t first = n, last = 0;  // the interval of lo
  for (size_t c = 0; c < candidates.size(); ++c) {
    const double p = candidates[c];
    if (c == 0) {
      first = std::upper_bound(x.begin(), x.end(), -p) - x.begin();
      last = std::max<size_t>(first, std::lower_bound(x.begin(), x.end(), p) - x.begin());
    } else {  // p rises: the interval only grows
      while (first > 0 && x[first - 1] > -p) --first;
      while (last < n && x[last] < p) ++last;
    }
    const double lo_count = static_cast<double>(last - first),
                 hi_count = static_cast<double>(n) - lo_count;
    const double lo_sum = sums[last] - sums[first], hi_sum = sums[n] - lo_sum;
    const double lo_squares = squares[last] - squares[first];
    if (lo_count > 0) {
      const size_t at =
          std::lower_bound(x.begin() + first, x.begin() + last, lo_sum / lo_count) - x.begin();
      errors[c] += order_1_error(lo_count, lo_sum, lo_squares, static_cast<double>(last - at),
                                 sums[last] - sums[at]);
    }
    if (hi_count > 0) {
      // What of the tails is at or above their mean: part of the left one, and of the right one.
      const double mu = hi_sum / hi_count;
      const size_t left = std::lower_bound(x.begin(), x.begin() + first, mu) - x.begin();
      const size_t right = std::lower_bound(x.begin() + last, x.end(), mu) - x.begin();
      errors[c] += order_1_error(hi_count, hi_sum, squares[n] - lo_squares,
                                 static_cast<double>(first - left + n - right),
                                 sums[first] - sums[left] + sums[n] - sums[right]);
    }
  }
}

void split(const std::vector<double>& x, double p, std::vector<double>& lo,
           std::vector<double>& hi) {
  lo.clear();
  hi.clear();
  for (const double value : x) (std::abs(value) >= p ? hi : lo).push_back(value);
}

}  // namespace

double best_split(const SearchBlock& block, const std::vector<uint8_t>& active,
                  const std::vector<double>& candidates) {
  return first_best(block, active, candidates, [&](std::vector<double>& x, double* errors) {
    thread_local std::vector<double> sums, squares;
    add_split_errors(x, candidates, sums, squares, errors);
  });
}

double best_split_without_mean(const SearchBlock& block, const std::vector<uint8_t>& active,
                               const std::vector<double>& candidates) {
  return first_best(block, active, candidates, [&](std::vector<double>& x, double* errors) {
    for (size_t c = 0; c < candidates.size(); ++c) {
      double squares = 0, sum[2] = {}, count[2] = {};
      for (const double value : x) {
        const int part = std::abs(value) >= candidates[c];
        squares += value * value;
        sum[part] += std::abs(value);
        count[part] += 1;
      }
      for (int part = 0; part < 2; ++part)
        if (count[part] > 0) squares -= sum[part] * sum[part] / count[part];
      errors[c] += squares;
    }
  });
}

double best_split_of_order_2(const SearchBlock& block, const std::vector<uint8_t>& active,
                             const std::vector<double>& candidates) {
  return first_best(block, active, candidates, [&](std::vector<double>& x, double* errors) {
    thread_local std::vector<double> lo, hi;
    thread_local BinaryRow row;
    size_t lo_before = 0;
    double error = 0;
    for (size_t c = 0; c < candidates.size(); ++c) {
      split(x, candidates[c], lo, hi);
      // Rising thresholds often leave a row's parts as they were.
      if (c == 0 || lo.size() != lo_before) {
        braq(lo, 2, row);
        error = squared_error(lo, row);
        braq(hi, 2, row);
        error += squared_error(hi, row);
        lo_before = lo.size();
      }
      errors[c] += error;
    }
  });
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
