#include "halftone/ops/logit_losses.h"

#include "halftone/base/threads.h"
#include "logit_rows.h"

namespace halftone {
namespace {

constexpr int64_t kRows = 4;

template <class T>
double cross_entropy_forward(int64_t n, int64_t v, const T* logits, const int32_t* targets) {
  return parallel_sum(n, kRows, [&](int64_t begin, int64_t end) {
    double sum = 0;
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i)
        if (targets[i] != kIgnoredTarget)
          sum += static_cast<double>(log_sum_exp(v, logits + i * v, T(1)) -
                                     logits[i * v + targets[i]]);
    });
    return sum;
  });
}

template <class T>
void cross_entropy_backward(int64_t n, int64_t v, const T* logits, const int32_t* targets, T k,
                            T* d) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const T* row = logits + i * v;
        const T ki = targets[i] == kIgnoredTarget ? T(0) : k;
        const T lse = log_sum_exp(v, row, T(1));
        for (int64_t j = 0; j < v; ++j) d[i * v + j] = ki * fast_exp(row[j] - lse);
        if (targets[i] != kIgnoredTarget) d[i * v + targets[i]] -= ki;
      }
    });
  });
}

template <class T>
double kl_forward(int64_t n, int64_t v, const T* x, const T* t, T inverse_tau) {
  return parallel_sum(n, kRows, [&](int64_t begin, int64_t end) {
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
}

template <class T>
void kl_backward(int64_t n, int64_t v, const T* x, const T* t, T inverse_tau, T k, T* d) {
  parallel_for(n, kRows, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin * v; i < end * v; i += v) {
        const T lse_x = log_sum_exp(v, x + i, inverse_tau),
                lse_t = log_sum_exp(v, t + i, inverse_tau);
        kl_row_gradient(v, x + i, t + i, lse_x, lse_t, inverse_tau, k, d + i);
      }
    });
  });
}

}  // namespace

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
  const double loss = with_real(logits.dtype(), "cross_entropy", [&]<class T>() {
    return each * cross_entropy_forward(n, v, logits.value().data<T>(), targets.data());
  });
  return logits.tape().record(
      "cross_entropy", {logits}, Tensor::scalar(loss, logits.dtype()), [=](const Tensor& dy) {
        Tensor d = Tensor::uninitialized(logits.shape(), logits.dtype());
        with_real(d.dtype(), "cross_entropy", [&]<class T>() {
          cross_entropy_backward(n, v, logits.value().data<T>(), targets.data(),
                                 static_cast<T>(each * dy.item()), d.data<T>());
        });
        logits.add_grad(d);
      });
}

Var kl_divergence(const Var& logits, const Tensor& teacher, double temperature) {
  require(logits.shape() == teacher.shape() && logits.dtype() == teacher.dtype() &&
              logits.value().rank() == 2,
          "kl_divergence: logits {}, teacher {}", shape_text(logits.shape()),
          shape_text(teacher.shape()));
  require(temperature > 0, "kl_divergence: temperature {}", temperature);
  const int64_t n = logits.dim(0), v = logits.dim(1);
  const double loss = with_real(logits.dtype(), "kl_divergence", [&]<class T>() {
    return temperature * temperature / static_cast<double>(n) *
           kl_forward(n, v, logits.value().data<T>(), teacher.data<T>(),
                      static_cast<T>(1 / temperature));
  });
  return logits.tape().record(
      "kl_divergence", {logits}, Tensor::scalar(loss, logits.dtype()), [=](const Tensor& dy) {
        Tensor d = Tensor::uninitialized(logits.shape(), logits.dtype());
        with_real(d.dtype(), "kl_divergence", [&]<class T>() {
          kl_backward(
              n, v, logits.value().data<T>(), teacher.data<T>(), static_cast<T>(1 / temperature),
              static_cast<T>(temperature * dy.item() / static_cast<double>(n)), d.data<T>());
        });
        logits.add_grad(d);
      });
}

}  // namespace halftone
