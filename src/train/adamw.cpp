#include "halftone/train/adamw.h"

#include <cmath>

#include "halftone/base/threads.h"
#include "ops/row_math.h"

namespace halftone {
namespace {

constexpr int64_t kBlock = 1 << 14;

// What one step multiplies by, in the numbers' precision.
struct Coefficients {
  float clip, b1, b2, keep, rate, v_scale, eps;
};

// One step over n numbers; returns how many changed their sign.
HT_INLINE inline int update(int64_t n, Coefficients c, const float* grad, float* w, float* m,
                            float* v) {
  int flipped = 0;
#pragma omp simd reduction(+ : flipped)
  for (int64_t i = 0; i < n; ++i) {
    const float g = c.clip * grad[i], before = w[i];
    const float mi = c.b1 * m[i] + (1.0f - c.b1) * g;
    const float vi = c.b2 * v[i] + (1.0f - c.b2) * g * g;
    const float after = c.keep * before - c.rate * mi / (std::sqrt(vi * c.v_scale) + c.eps);
    m[i] = mi;
    v[i] = vi;
    w[i] = after;
    flipped += (before >= 0.0f) != (after >= 0.0f);
  }
  return flipped;
}

}  // namespace

int64_t adamw_step(Param& param, Moments& moments, int64_t step, double learning_rate, double scale,
                   const AdamWSettings& s) {
  const int64_t n = param.value.numel();
  float* w = param.value.data<float>();
  float *m = moments.m.data<float>(), *v = moments.v.data<float>();
  if (!param.grad.filled) {
    if (!param.grad.tensor.defined())
      param.grad.tensor = Tensor::uninitialized(param.value.shape(), DType::f32);
    param.grad.tensor.fill(0);
  }
  const float* grad = param.grad.tensor.data<float>();
  const double steps = static_cast<double>(step);
  const Coefficients c{
      .clip = static_cast<float>(scale),
      .b1 = static_cast<float>(s.beta1),
      .b2 = static_cast<float>(s.beta2),
      .keep = static_cast<float>(1.0 - (param.decays() ? learning_rate * s.weight_decay : 0.0)),
      .rate = static_cast<float>(learning_rate / (1.0 - std::pow(s.beta1, steps))),
      .v_scale = static_cast<float>(1.0 / (1.0 - std::pow(s.beta2, steps))),
      .eps = static_cast<float>(s.epsilon)};
  const double flips = parallel_sum(n, kBlock, [&](int64_t begin, int64_t end) {
    int flipped = 0;
    simd([&]() HT_INLINE {
      flipped = update(end - begin, c, grad + begin, w + begin, m + begin, v + begin);
    });
    return static_cast<double>(flipped);
  });
  return static_cast<int64_t>(flips);
}

double squared_gradient_norm(const std::vector<Param*>& params) {
  double total = 0;
  for (const Param* param : params) {
    if (!param->grad.filled) continue;
    const float* g = param->grad.tensor.data<float>();
    total += parallel_sum(param->grad.tensor.numel(), kBlock, [&](int64_t begin, int64_t end) {
      float sum = 0;
      simd([&]() HT_INLINE { sum = row_dot(end - begin, g + begin, g + begin); });
      return static_cast<double>(sum);
    });
  }
  return total;
}

}  // namespace halftone
