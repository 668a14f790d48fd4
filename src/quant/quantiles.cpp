#include "halftone/quant/quantiles.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace halftone {
namespace {

// The bits of magnitudes are in the order of the magnitudes. Ten bits of the fraction: few numbers
// share a bucket with a quantile.
constexpr int kBitsDropped = 42;

int64_t bits_of(double magnitude) {
  return std::bit_cast<int64_t>(magnitude);
}

// Zeros are in bucket 0, the least other number is in bucket 1 or 2.
struct Buckets {
  int64_t first = 0;
  std::vector<int64_t> before;  // numbers in lower buckets

  explicit Buckets(const std::vector<double>& magnitudes) {
    // A zero's bits less 1 are the largest unsigned number.
    uint64_t least = std::numeric_limits<uint64_t>::max() >> 1;
    int64_t most = 0;
    for (const double x : magnitudes) {
      least = std::min(least, static_cast<uint64_t>(bits_of(x)) - 1);
      most = std::max(most, bits_of(x));
    }
    first = static_cast<int64_t>(least >> kBitsDropped) - 1;
    const int64_t last = std::max(first, most >> kBitsDropped);
    before.assign(static_cast<size_t>(last - first + 2), 0);
    for (const double x : magnitudes) ++before[of(x) + 1];
    for (size_t b = 1; b < before.size(); ++b) before[b] += before[b - 1];
  }

  size_t of(double x) const {
    return static_cast<size_t>(std::max(bits_of(x) >> kBitsDropped, first) - first);
  }
  size_t of_rank(int64_t rank) const {
    return std::upper_bound(before.begin(), before.end(), rank) - before.begin() - 1;
  }
};

}  // namespace

std::vector<double> in_order(const std::vector<double>& magnitudes,
                             const std::vector<int64_t>& ranks) {
  const Buckets buckets(magnitudes);
  std::vector<uint8_t> wanted(buckets.before.size(), 0);
  for (const int64_t rank : ranks) wanted[buckets.of_rank(rank)] = 1;
  wanted[0] = 0;  // a zero is known
  std::vector<double> kept;
  for (const double x : magnitudes)
    if (wanted[buckets.of(x)]) kept.push_back(x);
  std::sort(kept.begin(), kept.end());
  std::vector<int64_t> kept_before(wanted.size(), 0);
  for (size_t b = 0; b + 1 < wanted.size(); ++b)
    kept_before[b + 1] =
        kept_before[b] + (wanted[b] ? buckets.before[b + 1] - buckets.before[b] : 0);
  std::vector<double> out;
  for (const int64_t rank : ranks) {
    const size_t b = buckets.of_rank(rank);
    out.push_back(b == 0 ? 0 : kept[kept_before[b] + rank - buckets.before[b]]);
  }
  return out;
}

std::vector<double> quantiles(const std::vector<double>& magnitudes, double last) {
  const double top = static_cast<double>(magnitudes.size()) - 1;
  std::vector<double> places;
  std::vector<int64_t> ranks;  // below and above each place
  for (int percent = 10; percent <= std::lround(100 * last); ++percent) {
    double at = percent / 100.0 * top;
    if (const double whole = std::round(at); std::abs(at - whole) < 1e-9) at = whole;
    places.push_back(at - std::floor(at));
    ranks.push_back(static_cast<int64_t>(at));
    ranks.push_back(static_cast<int64_t>(std::ceil(at)));
  }
  const std::vector<double> values = in_order(magnitudes, ranks);
  std::vector<double> out;
  for (size_t k = 0; k < places.size(); ++k) {
    const double a = values[2 * k], b = values[2 * k + 1];
    out.push_back(a + (b - a) * places[k]);
  }
  return out;
}

}  // namespace halftone
