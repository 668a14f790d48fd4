#include "halftone/ops/top_log_probs.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "halftone/base/threads.h"
#include "halftone/ops/linear.h"
#include "logit_rows.h"

namespace halftone {
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

// Of `rows` rows of logits; `first` is the number of the first one, for the error alone.
template <class T>
void chunk_top(int64_t first, int64_t rows, int64_t v, const T* logits, int64_t k, T inverse_tau,
               int32_t* ids, half_t* log_probs) {
  parallel_for(rows, kRows, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> order(static_cast<size_t>(v));
    for (int64_t i = begin; i < end; ++i) {
      const T* x = logits + i * v;
      T lse = 0;
      simd([&]() HT_INLINE { lse = log_sum_exp(v, x, inverse_tau); });
      // Before any comparison: with a NaN among them numbers have no order.
      if (!std::isfinite(lse))
        throw_error(ErrorKind::numerical, "the teacher's logits of token {} are not finite",
                    first + i);
      largest(v, x, k, order, ids + i * k);
      for (int64_t j = 0; j < k; ++j)
        log_probs[i * k + j] = to_half(
            std::max(static_cast<float>(x[ids[i * k + j]] * inverse_tau - lse), kLowestHalf));
    }
  });
}

}  // namespace

TopLogProbs top_log_probs(const Tensor& hidden, const Tensor& weight, int64_t k,
                          double temperature) {
  require(hidden.rank() == 2 && weight.rank() == 2 && hidden.dim(1) == weight.dim(1),
          "top_log_probs: hidden {}, weight {}", shape_text(hidden.shape()),
          shape_text(weight.shape()));
  const int64_t n = hidden.dim(0), v = weight.dim(0), chunk = std::min(kChunk, n);
  require(k > 0 && k <= v && temperature > 0, "top_log_probs: k {} of {}, temperature {}", k, v,
          temperature);
  TopLogProbs out{Tensor::uninitialized({n, k}, DType::i32),
                  Tensor::uninitialized({n, k}, DType::f16)};
  Tensor room = Tensor::uninitialized({chunk, v}, hidden.dtype());
  for (int64_t begin = 0; begin < n; begin += chunk) {
    const int64_t rows = std::min(chunk, n - begin);
    Tensor logits = room.rows(0, rows);
    multiply_weight(hidden.rows(begin, begin + rows), weight, logits);
    with_real(hidden.dtype(), "top_log_probs", [&]<class T>() {
      chunk_top<T>(begin, rows, v, logits.data<T>(), k, static_cast<T>(1 / temperature),
                   out.ids.data<int32_t>() + begin * k, out.log_probs.data<half_t>() + begin * k);
    });
  }
  return out;
}

}  // namespace halftone
