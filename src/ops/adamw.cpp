// The loops of the optimisers.
#include "halftone/ops/adamw.h"

#include <cmath>
#include <numeric>

#include "halftone/base/threads.h"
#include "row_math.h"
#include "tensor/dispatch.h"

namespace halftone {

HT_KERNEL(adamw_update, const std::vector<AdamWNumbers>& all, const AdamWCoefficients& c,
          Tensor& flips)
HT_CPU_KERNEL(adam_update, const Tensor& grad, int64_t t, double rate, Tensor& w, Tensor& m,
              Tensor& v)
HT_KERNEL(block_sums_of_squares, const std::vector<Tensor>& xs, std::vector<double>& sums)

namespace {

int64_t blocks_of(const Tensor& x) {
  return divide_up(x.numel(), kUpdateBlock);
}

// The coefficients in the numbers' precision.
struct Factors {
  float clip, b1, b2, keep, rate, v_scale, eps;
};

// One step over n numbers; returns how many changed their sign.
HT_INLINE inline int update(int64_t n, Factors c, const float* grad, float* w, float* m, float* v) {
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

namespace cpu {

void adamw_update(const std::vector<AdamWNumbers>& all, const AdamWCoefficients& c, Tensor& flips) {
  for (const AdamWNumbers& each : all) {
    const Factors f{.clip = static_cast<float>(c.gradient),
                    .b1 = static_cast<float>(c.beta1),
                    .b2 = static_cast<float>(c.beta2),
                    .keep = static_cast<float>(each.keep),
                    .rate = static_cast<float>(each.rate),
                    .v_scale = static_cast<float>(c.v_scale),
                    .eps = static_cast<float>(c.epsilon)};
    const float* g = each.grad->data<float>();
    float *w = each.w->data<float>(), *m = each.m->data<float>(), *v = each.v->data<float>();
    const double flipped =
        parallel_sum(each.w->numel(), kUpdateBlock, [&](int64_t begin, int64_t end) {
          int count = 0;
          simd([&]() HT_INLINE {
            count = update(end - begin, f, g + begin, w + begin, m + begin, v + begin);
          });
          return static_cast<double>(count);
        });
    if (each.counted) *flips.data<double>() += flipped;
  }
}

void adam_update(const Tensor& grad, int64_t t, double rate, Tensor& w, Tensor& m, Tensor& v) {
  const float* gs = grad.data<float>();
  float* ws = w.data<float>();
  double *ms = m.data<double>(), *vs = v.data<double>();
  for (int64_t i = 0; i < w.numel(); ++i) {
    const double g = gs[i];
    ms[i] = 0.9 * ms[i] + 0.1 * g;
    vs[i] = 0.999 * vs[i] + 0.001 * g * g;
    const double first = ms[i] / (1 - std::pow(0.9, t)), second = vs[i] / (1 - std::pow(0.999, t));
    ws[i] -= static_cast<float>(rate * first / (std::sqrt(second) + 1e-8));
  }
}

void block_sums_of_squares(const std::vector<Tensor>& xs, std::vector<double>& sums) {
  double* out = sums.data();
  for (const Tensor& x : xs) {
    const float* numbers = x.data<float>();
    parallel_for(x.numel(), kUpdateBlock, [&](int64_t begin, int64_t end) {
      float part = 0;
      simd([&]() HT_INLINE { part = row_dot(end - begin, numbers + begin, numbers + begin); });
      out[begin / kUpdateBlock] = part;
    });
    out += blocks_of(x);
  }
}

}  // namespace cpu

void adamw_update(const std::vector<AdamWNumbers>& all, const AdamWCoefficients& c, Tensor& flips) {
  for (const AdamWNumbers& each : all)
    require(each.grad->numel() == each.w->numel() && each.m->numel() == each.w->numel() &&
                each.v->numel() == each.w->numel(),
            "adamw_update: {} numbers, gradient {}, moments {} and {}", each.w->numel(),
            each.grad->numel(), each.m->numel(), each.v->numel());
  if (!all.empty()) HT_RUN(adamw_update, flips.device(), all, c, flips);
}

void adam_update(const Tensor& grad, int64_t t, double rate, Tensor& w, Tensor& m, Tensor& v) {
  require(grad.numel() == w.numel() && m.numel() == w.numel() && v.numel() == w.numel(),
          "adam_update: {} numbers, gradient {}, moments {} and {}", w.numel(), grad.numel(),
          m.numel(), v.numel());
  HT_RUN(adam_update, w.device(), grad, t, rate, w, m, v);
}

std::vector<double> block_sums_of_squares(const std::vector<Tensor>& xs) {
  int64_t blocks = 0;
  for (const Tensor& x : xs) blocks += blocks_of(x);
  std::vector<double> sums(static_cast<size_t>(blocks));
  if (blocks > 0) HT_RUN(block_sums_of_squares, xs.front().device(), xs, sums);
  return sums;
}

double sum_of_squares(const std::vector<Tensor>& xs) {
  const std::vector<double> sums = block_sums_of_squares(xs);
  double sum = 0;
  auto next = sums.begin();
  for (const Tensor& x : xs) {
    const auto end = next + blocks_of(x);
    sum += std::accumulate(next, end, 0.0);
    next = end;
  }
  return sum;
}

}  // namespace halftone
