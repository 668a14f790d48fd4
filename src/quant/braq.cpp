#include "halftone/quant/braq.h"

#include <cmath>

#include "halftone/base/simd.h"

namespace halftone {
namespace {

// alpha and b of x - mu, and mu, where x is what the earlier orders left in `r`.
void binarise(double* r, int64_t n, double& mu, double& alpha, double* b) {
  double sum = 0, squares = 0, magnitude = 0;
  simd([&]() HT_INLINE {
#pragma omp simd reduction(+ : sum, squares)
    for (int64_t j = 0; j < n; ++j) {
      sum += r[j];
      squares += r[j] * r[j];
    }
    mu = sum / static_cast<double>(n);
#pragma omp simd reduction(+ : magnitude)
    for (int64_t j = 0; j < n; ++j) magnitude += std::abs(r[j] - mu);
    alpha = magnitude / static_cast<double>(n);
    const double zero = mu - kTie * std::sqrt(squares / static_cast<double>(n));
    for (int64_t j = 0; j < n; ++j) {
      b[j] = r[j] >= zero ? 1.0 : -1.0;
      r[j] -= mu + alpha * b[j];
    }
  });
}

}  // namespace

void braq(std::span<const double> x, int order, BinaryRow& out) {
  out.order = order;
  out.alpha = {};
  out.mu = 0;
  const int64_t n = static_cast<int64_t>(x.size());
  thread_local std::vector<double> residual;
  residual.assign(x.begin(), x.end());
  for (int k = 0; k < order; ++k) {
    out.b[k].resize(x.size());
    if (n == 0) continue;
    double mu = 0;
    binarise(residual.data(), n, mu, out.alpha[k], out.b[k].data());
    out.mu += mu;
  }
}

double squared_error(std::span<const double> x, const BinaryRow& row) {
  double sum = 0;
  for (size_t j = 0; j < x.size(); ++j) {
    const double d = x[j] - row.value(static_cast<int64_t>(j));
    sum += d * d;
  }
  return sum;
}

}  // namespace halftone
