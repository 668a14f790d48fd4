// The k likeliest ids of each row, a chunk of logits at a time.
#include "halftone/ops/top_log_probs.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "halftone/base/threads.h"
#include "halftone/tensor/gemm.h"
#include "logit_rows.h"
#include "tensor/dispatch.h"

namespace halftone {

// ids and log_probs (N x k) of N rows of logits, and log_sums (N, F32) of softmax's denominators: a
// row where that is not finite has no other result.
HT_KERNEL(top_rows, const Tensor& logits, double temperature, Tensor& ids, Tensor& log_probs,
          Tensor& log_sums)

namespace {

constexpr int64_t kChunk = 256;  // tokens whose logits exist at a time
constexpr int64_t kRows = 4;
constexpr float kLowestHalf = -65504.0f;

// Ids of the k largest of x (V), ascending, into ids; `order` is room for V ids.
template <class T>
void largest(int64_t v, const T* x, int64_t k, std::vector<int32_t>& order, int32_t* ids) {
  std::iota(order.begin(), order.end(), 0);
  if (k < v)
    std::nth_element(order.begin(), order.begin() + (k - 1), order.end(),
                     [x](int32_t a, int32_t b) { return x[a] != x[b] ? x[a] > x[b] : a < b; });
  std::sort(order.begin(), order.begin() + k);
  std::copy_n(order.begin(), k, ids);
}

// Of tokens `first` and on.
void require_finite(const Tensor& log_sums, int64_t first) {
  for (int64_t i = 0; i < log_sums.numel(); ++i)
    if (!std::isfinite(log_sums.data<float>()[i]))
      throw_error(ErrorKind::numerical, "the teacher's logits of token {} are not finite",
                  first + i);
}

}  // namespace

void cpu::top_rows(const Tensor& logits, double temperature, Tensor& ids, Tensor& log_probs,
                   Tensor& log_sums) {
  with_real(logits.dtype(), "top_log_probs", [&]<class T>() {
    const int64_t v = logits.dim(1), k = ids.dim(1);
    const T inverse_tau = static_cast<T>(1 / temperature);
    const T* from = logits.data<T>();
    int32_t* to = ids.data<int32_t>();
    half_t* p = log_probs.data<half_t>();
    float* sums = log_sums.data<float>();
    parallel_for(logits.dim(0), kRows, [&](int64_t begin, int64_t end) {
      std::vector<int32_t> order(static_cast<size_t>(v));
      for (int64_t i = begin; i < end; ++i) {
        const T* x = from + i * v;
        T lse = 0;
        simd([&]() HT_INLINE { lse = log_sum_exp(v, x, inverse_tau); });
        sums[i] = static_cast<float>(lse);
        // Before any comparison: with a NaN among them numbers have no order.
        if (!std::isfinite(lse)) continue;
        largest(v, x, k, order, to + i * k);
        for (int64_t j = 0; j < k; ++j)
          p[i * k + j] = to_half(
              std::max(static_cast<float>(x[to[i * k + j]] * inverse_tau - lse), kLowestHalf));
      }
    });
  });
}

TopLogProbs top_log_probs(const Tensor& hidden, const Tensor& weight, int64_t k,
                          double temperature) {
  require(hidden.rank() == 2 && weight.rank() == 2 && hidden.dim(1) == weight.dim(1),
          "top_log_probs: hidden {}, weight {}", shape_text(hidden.shape()),
          shape_text(weight.shape()));
  const int64_t n = hidden.dim(0), v = weight.dim(0), chunk = std::min(kChunk, n);
  const Device device = hidden.device();
  require(k > 0 && k <= v && temperature > 0, "top_log_probs: k {} of {}, temperature {}", k, v,
          temperature);
  TopLogProbs out{Tensor::uninitialized({n, k}, DType::i32, device),
                  Tensor::uninitialized({n, k}, DType::f16, device)};
  Tensor room = Tensor::uninitialized({chunk, v}, hidden.dtype(), device),
         log_sums = Tensor::uninitialized({chunk}, DType::f32, device);
  for (int64_t begin = 0; begin < n; begin += chunk) {
    const int64_t end = std::min(n, begin + chunk);
    Tensor logits = room.rows(0, end - begin), ids = out.ids.rows(begin, end),
           log_probs = out.log_probs.rows(begin, end);
    gemm(Transpose::no, Transpose::yes, hidden.rows(begin, end), weight, 0, logits);
    Tensor sums = log_sums.rows(0, end - begin);
    HT_RUN(top_rows, device, logits, temperature, ids, log_probs, sums);
    require_finite(sums.to(Device::cpu), begin);
  }
  return out;
}

}  // namespace halftone
