#include "halftone/train/adamw.h"

#include <cmath>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"

namespace halftone {
namespace {
constexpr int64_t kBlock = 1 << 14;
}

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
  const float k = static_cast<float>(scale);
  const float b1 = static_cast<float>(s.beta1), b2 = static_cast<float>(s.beta2);
  const float keep = static_cast<float>(1.0 - (param.decay ? learning_rate * s.weight_decay : 0.0));
  const float rate =
      static_cast<float>(learning_rate / (1.0 - std::pow(s.beta1, static_cast<double>(step))));
  const float v_scale =
      static_cast<float>(1.0 / (1.0 - std::pow(s.beta2, static_cast<double>(step))));
  const float eps = static_cast<float>(s.epsilon);
  const double flips = parallel_sum(n, kBlock, [&](int64_t begin, int64_t end) {
    int flipped = 0;
    simd([&]() HT_INLINE {
#pragma omp simd reduction(+ : flipped)
      for (int64_t i = begin; i < end; ++i) {
        const float g = k * grad[i], before = w[i];
        const float mi = b1 * m[i] + (1.0f - b1) * g;
        const float vi = b2 * v[i] + (1.0f - b2) * g * g;
        const float after = keep * before - rate * mi / (std::sqrt(vi * v_scale) + eps);
        m[i] = mi;
        v[i] = vi;
        w[i] = after;
        flipped += (before >= 0.0f) != (after >= 0.0f);
      }
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
      simd([&]() HT_INLINE {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = begin; i < end; ++i) sum += g[i] * g[i];
      });
      return static_cast<double>(sum);
    });
  }
  return total;
}

}  // namespace halftone
