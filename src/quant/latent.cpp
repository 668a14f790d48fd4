// Starts of latent weights.
#include "halftone/quant/latent.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "halftone/base/threads.h"

namespace halftone {
namespace {

constexpr int64_t kBlock = 1 << 14;

double mean_magnitude(const Tensor& w) {
  const float* x = w.data<float>();
  const double sum = parallel_sum(w.numel(), kBlock, [&](int64_t begin, int64_t end) {
    double part = 0;
    for (int64_t i = begin; i < end; ++i) part += std::abs(static_cast<double>(x[i]));
    return part;
  });
  return sum / static_cast<double>(w.numel());
}

// Each number of w through a function.
template <class Function>
Tensor mapped(const Tensor& w, const Function& f) {
  Tensor out = w.like();
  const float* x = w.data<float>();
  float* y = out.data<float>();
  parallel_for(w.numel(), kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = f(x[i]);
  });
  return out;
}

}  // namespace

Tensor magnitude_latent(const Tensor& w, double mean) {
  const double found = mean_magnitude(w);
  const float k = static_cast<float>(found > 0 ? mean / found : 0.0);
  return mapped(w, [k](float x) { return k * x; });
}

Tensor sign_latent(const Tensor& w, double level) {
  const float one = static_cast<float>(level);
  return mapped(w, [one](float x) { return x >= 0 ? one : -one; });
}

Tensor with_signs(const Tensor& latent, const Tensor& s) {
  require(latent.shape() == s.shape(), "with_signs: {} and {}", shape_text(latent.shape()),
          shape_text(s.shape()));
  constexpr float kLeast = std::numeric_limits<float>::min();
  Tensor out = latent.like();
  const float *x = latent.data<float>(), *sign = s.data<float>();
  float* y = out.data<float>();
  parallel_for(latent.numel(), kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      y[i] = sign[i] >= 0 ? std::abs(x[i]) : -std::max(std::abs(x[i]), kLeast);
  });
  return out;
}

}  // namespace halftone
