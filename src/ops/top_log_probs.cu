// The k likeliest ids of each row on the GPU: a block a row, in the order of the ids.
#include "halftone/ops/top_log_probs.h"

#include "largest.cuh"
#include "logit_rows.cuh"

namespace halftone::cuda {
namespace {

constexpr float kLowestHalf = -65504.0f;
static_assert(kLargestThreads == kLogitThreads);

template <class T>
__global__ void __launch_bounds__(kLogitThreads)
    likeliest(int64_t v, const T* logits, float inverse_tau, int k, int32_t* ids, __half* log_probs,
              float* log_sums) {
  const T* x = logits + int64_t{blockIdx.x} * v;
  ids += int64_t{blockIdx.x} * k;
  log_probs += int64_t{blockIdx.x} * k;
  ExpSum sum;
  bool all = true;  // the sum passes over a NaN that is no maximum
  for (int64_t j = threadIdx.x; j < v; j += kLogitThreads) {
    const float scaled = wide(x[j]) * inverse_tau;
    all = all && !isnan(scaled);
    take<1>(sum, &scaled, nullptr);
  }
  const bool all_numbers = __syncthreads_and(all);
  const float lse = over_block(sum).log();
  if (threadIdx.x == 0) log_sums[blockIdx.x] = all_numbers ? lse : NAN;
  const Threshold least = kth_largest(v, x, k);
  const int wanted_equals = k - least.above;
  int taken = 0, equals = 0;  // in front of the numbers that the block looks at
  for (int64_t first = 0; first < v; first += kLogitThreads) {
    const int64_t j = first + threadIdx.x;
    const uint32_t key = j < v ? key_of(wide(x[j])) : 0;
    const bool equal = j < v && key == least.key;
    const Before same = count_before(equal);
    const bool mine = j < v && (key > least.key || (equal && equals + same.mine < wanted_equals));
    const Before place = count_before(mine);
    if (mine) {
      const int at = taken + place.mine;
      ids[at] = static_cast<int32_t>(j);
      log_probs[at] = __float2half_rn(fmaxf(wide(x[j]) * inverse_tau - lse, kLowestHalf));
    }
    taken += place.total;
    equals += same.total;
  }
}

}  // namespace

void top_rows(const Tensor& logits, double temperature, Tensor& ids, Tensor& log_probs,
              Tensor& log_sums) {
  const auto run = [&](const auto* x) {
    likeliest<<<static_cast<unsigned>(logits.dim(0)), kLogitThreads, 0, stream()>>>(
        logits.dim(1), x, static_cast<float>(1 / temperature), static_cast<int>(ids.dim(1)),
        numbers<int32_t>(ids), numbers<__half>(log_probs), numbers<float>(log_sums));
  };
  if (logits.dtype() == DType::bf16)
    run(numbers<bf16>(logits));
  else
    run(numbers<float>(logits));
  check_launch("top_log_probs");
}

}  // namespace halftone::cuda
