#include "halftone/quant/arb.h"

#include <cmath>

#include "halftone/base/simd.h"

namespace halftone {

void arb_update_mean(std::span<const double> x, BinaryRow& row) {
  const int64_t n = static_cast<int64_t>(x.size());
  if (n == 0) return;
  const double *w = x.data(), *b0 = row.b[0].data();
  const double* b1 = row.order == 2 ? row.b[1].data() : b0;
  const double mu = row.mu, a0 = row.alpha[0], a1 = row.order == 2 ? row.alpha[1] : 0;
  double sum = 0;
  simd([&]() HT_INLINE {
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; ++j) sum += w[j] - mu - a0 * b0[j] - a1 * b1[j];
  });
  row.mu += sum / static_cast<double>(n);
}

void arb_update_scales(std::span<const double> x, BinaryRow& row) {
  const int64_t n = static_cast<int64_t>(x.size());
  if (n == 0) return;
  for (int k = 0; k < row.order; ++k) {
    const double *w = x.data(), *b = row.b[k].data();
    const double* other = row.order == 2 ? row.b[1 - k].data() : b;
    const double mu = row.mu, a = row.order == 2 ? row.alpha[1 - k] : 0;
    double sum = 0;
    simd([&]() HT_INLINE {
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < n; ++j) sum += b[j] * (w[j] - mu - a * other[j]);
    });
    row.alpha[k] = sum / static_cast<double>(n);
  }
}

void arb_update_signs(std::span<const double> x, BinaryRow& row) {
  const int64_t n = static_cast<int64_t>(x.size());
  const double* w = x.data();
  double* b0 = row.b[0].data();
  const double mu = row.mu;
  if (row.order == 1) {
    const double zero = mu - kTie * std::abs(row.alpha[0]);
    simd([&]() HT_INLINE {
      for (int64_t j = 0; j < n; ++j) b0[j] = w[j] >= zero ? 1.0 : -1.0;
    });
    return;
  }
  double* b1 = row.b[1].data();
  const double a0 = row.alpha[0], a1 = row.alpha[1], tie = kTie * (std::abs(a0) + std::abs(a1));
  simd([&]() HT_INLINE {
    for (int64_t j = 0; j < n; ++j) {
      const double z = w[j] - mu;
      double least = std::abs(z + a0 + a1), first = -1, second = -1;
      const double mp = std::abs(z + a0 - a1), pm = std::abs(z - a0 + a1),
                   pp = std::abs(z - a0 - a1);
      const bool is_mp = mp < least - tie;
      second = is_mp ? 1 : second;
      least = mp < least ? mp : least;
      const bool is_pm = pm < least - tie;
      first = is_pm ? 1 : first;
      second = is_pm ? -1 : second;
      least = pm < least ? pm : least;
      const bool is_pp = pp < least - tie;
      first = is_pp ? 1 : first;
      second = is_pp ? 1 : second;
      b0[j] = first;
      b1[j] = second;
    }
  });
}

void arb(std::span<const double> x, int order, int iterations, BinaryRow& out) {
  braq(x, order, out);
  for (int t = 0; t < iterations; ++t) {
    arb_update_mean(x, out);
    arb_update_scales(x, out);
    arb_update_signs(x, out);
  }
}

}  // namespace halftone
