// Rows of logits against the token behind each on the GPU: a block a row; the rows' scores are
// added on the CPU, one after the other.
#include "halftone/ops/token_scores.h"

#include <vector>

#include "logit_rows.cuh"

namespace halftone::cuda {
namespace {

struct RowScores {
  float nll, teacher_nll, kl, agree;
};

// The largest number of a row and its first place; a NaN is never it.
struct Largest {
  float value = -INFINITY;
  int64_t at = INT64_MAX;

  __device__ void take(float x, int64_t i) {
    if (x > value || (x == value && i < at)) {
      value = x;
      at = i;
    }
  }
};

__device__ Largest over_block(Largest l) {
  __shared__ Largest parts[kLogitThreads / kWarp];
  for (int step = 16; step > 0; step /= 2)
    l.take(__shfl_xor_sync(0xffffffffu, l.value, step), __shfl_xor_sync(0xffffffffu, l.at, step));
  __syncthreads();
  if (lane_here() == 0) parts[threadIdx.x / kWarp] = l;
  __syncthreads();
  for (const Largest& part : parts) l.take(part.value, part.at);
  return l;
}

__global__ void __launch_bounds__(kLogitThreads)
    score_rows(int64_t v, const float* x, const float* t, const int32_t* next, RowScores* out) {
  const int64_t row = blockIdx.x;
  x += row * v;
  ExpSum of_x, of_t;
  Largest best_x, best_t;
  for (int64_t j = threadIdx.x; j < v; j += kLogitThreads) {
    const float a = x[j];
    take<1>(of_x, &a, &a);
    best_x.take(a, j);
    if (!t) continue;
    const float b = t[row * v + j], d = b - a;
    take<1>(of_t, &b, &d);
    best_t.take(b, j);
  }
  of_x = over_block(of_x);
  best_x = over_block(best_x);
  RowScores scores{of_x.log() - x[next[row]], 0, 0, 0};
  if (t) {
    of_t = over_block(of_t);
    best_t = over_block(best_t);
    scores.teacher_nll = of_t.log() - t[row * v + next[row]];
    scores.kl = of_t.along / of_t.sum + of_x.log() - of_t.log();
    scores.agree = !isnan(scores.nll) && !isnan(scores.teacher_nll) && best_x.at == best_t.at;
  }
  if (threadIdx.x == 0) out[row] = scores;
}

}  // namespace

void add_token_scores(const Tensor& x, const Tensor& t, const Tensor& next, TokenScores& sums) {
  const int64_t rows = x.dim(0), v = x.dim(1);
  if (rows == 0) return;
  const int32_t* ids = next.data<int32_t>();
  for (int64_t i = 0; i < rows; ++i)
    require(ids[i] >= 0 && ids[i] < v, "token_scores: token {}, vocabulary {}", ids[i], v);
  const Tensor here = next.to(Device::cuda);
  Tensor scores = Tensor::uninitialized({rows, 4}, DType::f32, Device::cuda);
  score_rows<<<static_cast<unsigned>(rows), kLogitThreads, 0, stream()>>>(
      v, numbers<float>(x), t.defined() ? numbers<float>(t) : nullptr, numbers<int32_t>(here),
      static_cast<RowScores*>(scores.raw()));
  check_launch("token_scores");
  const Tensor out = scores.to(Device::cpu);
  const float* s = out.data<float>();
  for (int64_t i = 0; i < rows; ++i) sums.add({s[4 * i], s[4 * i + 1], s[4 * i + 2], s[4 * i + 3]});
}

}  // namespace halftone::cuda
