// Losses over whole logits: cross entropy and KL.
#include "halftone/ops/logit_losses.h"

#include "halftone/base/threads.h"
#include "logit_rows.h"
#include "tensor/dispatch.h"

namespace halftone {

// `each`: what a counted target weighs. targets (N, I32).
HT_CPU_KERNEL(cross_entropy_forward, const Tensor& logits, const Tensor& targets, double each,
              Tensor& loss)
HT_CPU_KERNEL(cross_entropy_backward, const Tensor& logits, const Tensor& targets, double each,
              const Tensor& dy, Tensor& dlogits)
HT_CPU_KERNEL(kl_forward, const Tensor& logits, const Tensor& teacher, double temperature,
              Tensor& loss)
HT_CPU_KERNEL(kl_backward, const Tensor& logits, const Tensor& teacher, double temperature,
              const Tensor& dy, Tensor& dlogits)

namespace {
constexpr int64_t kRows = 4;
}

namespace cpu {

void cross_entropy_forward(const Tensor& logits, const Tensor& targets, double each, Tensor& loss) {
  with_real(logits.dtype(), "cross_entropy", [&]<class T>() {
    const int64_t v = logits.dim(1);
    const T* xs = logits.data<T>();
    const int32_t* ids = targets.data<int32_t>();
    const double total = parallel_sum(logits.dim(0), kRows, [&](int64_t begin, int64_t end) {
      double sum = 0;
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i)
          if (ids[i] != kIgnoredTarget)
            sum += static_cast<double>(log_sum_exp(v, xs + i * v, T(1)) - xs[i * v + ids[i]]);
      });
      return sum;
    });
    *loss.data<T>() = static_cast<T>(each * total);
  });
}

void cross_entropy_backward(const Tensor& logits, const Tensor& targets, double each,
                            const Tensor& dy, Tensor& dlogits) {
  with_real(logits.dtype(), "cross_entropy", [&]<class T>() {
    const int64_t v = logits.dim(1);
    const T* xs = logits.data<T>();
    const T k = static_cast<T>(each * dy.item());
    const int32_t* ids = targets.data<int32_t>();
    T* d = dlogits.data<T>();
    parallel_for(logits.dim(0), kRows, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
        for (int64_t i = begin; i < end; ++i) {
          const T* row = xs + i * v;
          const T ki = ids[i] == kIgnoredTarget ? T(0) : k;
          const T lse = log_sum_exp(v, row, T(1));
          for (int64_t j = 0; j < v; ++j) d[i * v + j] = ki * fast_exp(row[j] - lse);
          if (ids[i] != kIgnoredTarget) d[i * v + ids[i]] -= ki;
        }
      });
    });
  });
}

void kl_forward(const Tensor& logits, const Tensor& teacher, double temperature, Tensor& loss) {
  with_real(logits.dtype(), "kl_divergence", [&]<class T>() {
    const int64_t n = logits.dim(0), v = logits.dim(1);
    const T *x = logits.data<T>(), *t = teacher.data<T>();
    const T inverse_tau = static_cast<T>(1 / temperature);
    const double total = parallel_sum(n, kRows, [&](int64_t begin, int64_t end) {
      double sum = 0;
      simd([&]() HT_INLINE {
        for (int64_t i = begin * v; i < end * v; i += v) {
          const T lse_x = log_sum_exp(v, x + i, inverse_tau),
                  lse_t = log_sum_exp(v, t + i, inverse_tau);
          sum += static_cast<double>(kl_row(v, x + i, t + i, lse_x, lse_t, inverse_tau));
        }
      });
      return sum;
    });
    *loss.data<T>() = static_cast<T>(temperature * temperature / static_cast<double>(n) * total);
  });
}

void kl_backward(const Tensor& logits, const Tensor& teacher, double temperature, const Tensor& dy,
                 Tensor& dlogits) {
  with_real(logits.dtype(), "kl_divergence", [&]<class T>() {
    const int64_t n = logits.dim(0), v = logits.dim(1);
    const T *x = logits.data<T>(), *t = teacher.data<T>();
    const T inverse_tau = static_cast<T>(1 / temperature),
            k = static_cast<T>(temperature * dy.item() / static_cast<double>(n));
    T* d = dlogits.data<T>();
    parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
        for (int64_t i = begin * v; i < end * v; i += v) {
          const T lse_x = log_sum_exp(v, x + i, inverse_tau),
                  lse_t = log_sum_exp(v, t + i, inverse_tau);
          kl_row_gradient(v, x + i, t + i, lse_x, lse_t, inverse_tau, k, d + i);
        }
      });
    });
  });
}

}  // namespace cpu

Var cross_entropy(const Var& logits, const std::vector<int32_t>& targets) {
  const int64_t n = logits.dim(0), v = logits.dim(1);
  require(static_cast<int64_t>(targets.size()) == n, "cross_entropy: logits {}, {} targets",
          shape_text(logits.shape()), targets.size());
  int64_t count = 0;
  for (int32_t t : targets) {
    require(t == kIgnoredTarget || (t >= 0 && t < v), "cross_entropy: target {}, vocabulary {}", t,
            v);
    count += t != kIgnoredTarget;
  }
  const double each = count ? 1.0 / static_cast<double>(count) : 0.0;
  const Device device = logits.value().device();
  const Tensor ids = Tensor::of({n}, targets);
  Tensor loss = Tensor::uninitialized({}, logits.dtype(), device);
  HT_RUN(cross_entropy_forward, device, logits.value(), ids, each, loss);
  return logits.tape().record("cross_entropy", {logits}, loss, [=](const Tensor& dy) {
    Tensor d = logits.value().like();
    HT_RUN(cross_entropy_backward, dy.device(), logits.value(), ids, each, dy, d);
    logits.add_grad(d);
  });
}

Var kl_divergence(const Var& logits, const Tensor& teacher, double temperature) {
  require(logits.shape() == teacher.shape() && logits.dtype() == teacher.dtype() &&
              logits.value().rank() == 2,
          "kl_divergence: logits {}, teacher {}", shape_text(logits.shape()),
          shape_text(teacher.shape()));
  require(temperature > 0, "kl_divergence: temperature {}", temperature);
  Tensor loss = Tensor::uninitialized({}, logits.dtype(), teacher.device());
  HT_RUN(kl_forward, teacher.device(), logits.value(), teacher, temperature, loss);
  return logits.tape().record("kl_divergence", {logits}, loss, [=](const Tensor& dy) {
    Tensor d = logits.value().like();
    HT_RUN(kl_backward, dy.device(), logits.value(), teacher, temperature, dy, d);
    logits.add_grad(d);
  });
}

}  // namespace halftone
