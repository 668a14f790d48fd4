// A sum over a large array, timed.
#include "halftone/tensor/bandwidth.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/tensor.h"
#include "tensor/gemm/transpose.h"

namespace halftone {
namespace {

constexpr int64_t kNumbers = int64_t{1} << 27, kBlock = 1 << 16;
constexpr int kPasses = 7;
constexpr int kSums = 8;  // so many additions go on at a time

// n is a multiple of kSums vectors.
HT_INLINE inline double block_sum(const float* x, int64_t n) {
  constexpr int64_t kLanes = sizeof(Sixteen) / sizeof(float);
  Sixteen sums[kSums] = {};
  for (int64_t i = 0; i < n; i += kSums * kLanes)
#pragma GCC unroll 8
    for (int s = 0; s < kSums; ++s) {
      Sixteen v;
      std::memcpy(&v, x + i + s * kLanes, sizeof(v));
      sums[s] += v;
    }
  double out = 0;
  for (const Sixteen& sum : sums)
    for (int64_t l = 0; l < kLanes; ++l) out += static_cast<double>(sum[l]);
  return out;
}

double sum_of(const float* x, int64_t n) {
  return parallel_sum(n, kBlock, [&](int64_t begin, int64_t end) {
    double sum = 0;
    simd([&]() HT_INLINE { sum = block_sum(x + begin, end - begin); });
    return sum;
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
