// A sum over a large array, timed.
#include "halftone/tensor/bandwidth.h"

#include <algorithm>
#include <chrono>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/tensor.h"

namespace halftone {
namespace {

constexpr int64_t kNumbers = int64_t{1} << 26, kBlock = 1 << 16;
constexpr int kPasses = 7;

double sum_of(const float* x, int64_t n) {
  return parallel_sum(n, kBlock, [&](int64_t begin, int64_t end) {
    float sum = 0;
    simd([&]() HT_INLINE {
#pragma omp simd reduction(+ : sum)
      for (int64_t i = begin; i < end; ++i) sum += x[i];
    });
    return static_cast<double>(sum);
  });
}

}  // namespace

double read_bandwidth() {
  const Tensor x = Tensor::full({kNumbers}, DType::f32, 1);
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto begin = std::chrono::steady_clock::now();
    require(sum_of(x.data<float>(), kNumbers) == static_cast<double>(kNumbers),
            "read_bandwidth: a wrong sum");
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    best = std::max(best, static_cast<double>(x.bytes()) / seconds);
  }
  return best;
}

}  // namespace halftone
