// The head's losses on the GPU: a block a row of logits.
#include "halftone/ops/head_loss.h"

#include "head_weights.h"
#include "logit_rows.cuh"

namespace halftone::cuda {
namespace {

constexpr size_t kMostKept = size_t{108} << 10;  // bytes: two blocks share a multiprocessor

template <class T>
struct Chunk {
  int64_t v;
  T* x;                // the student's logits, then their gradient
  const T* t;          // the teacher's, or null
  int64_t k;           // of its likeliest ids, or 0
  const int32_t* ids;  // ascending in a row
  const __half* log_probs;
  const int32_t* targets;  // or null
  float inverse_tau, kl_gradient, label_gradient;
  bool gradient, keep;
  float *kl, *labels;  // by row
};

// What a row's labels add to its gradient.
struct Label {
  float weight, lse;
  __device__ float at(float x) const { return weight == 0.0f ? 0.0f : weight * quick_exp(x - lse); }
};

template <int W, class T>
__device__ Label read_label(const Chunk<T>& c, int64_t row, const T* x) {
  const int32_t target = c.targets ? c.targets[row] : kIgnoredTarget;
  if (target == kIgnoredTarget) {
    if (threadIdx.x == 0) c.labels[row] = 0;
    return {0, 0};
  }
  ExpSum sum;
  float a[W];
  for (int64_t j = threadIdx.x * W; j < c.v; j += kLogitThreads * W) {
    read<W>(x + j, a);
    take<W>(sum, a, nullptr);
  }
  const float lse = over_block(sum).log();
  if (threadIdx.x == 0) c.labels[row] = lse - wide(x[target]);
  __syncthreads();  // from here on x may be written
  return {c.label_gradient, lse};
}

// KL = sum p (t - x) / tau + lse_x - lse_t, and its gradient in a second pass, for which the
// student's row is kept in shared memory where it fits (kept is null where it does not).
template <int W, class T>
__device__ void against_logits(const Chunk<T>& c, int64_t row, T* x, const T* t, const Label& label,
                               T* kept) {
  ExpSum of_x, of_t;
  float a[W], b[W], d[W];
  for (int64_t j = threadIdx.x * W; j < c.v; j += kLogitThreads * W) {
    read<W>(x + j, a);
    read<W>(t + j, b);
    if (kept) write<W>(kept + j, a);  // each thread reads its own again
#pragma unroll
    for (int i = 0; i < W; ++i) {
      a[i] *= c.inverse_tau;
      b[i] *= c.inverse_tau;
      d[i] = b[i] - a[i];
    }
    take<W>(of_x, a, nullptr);
    take<W>(of_t, b, d);
  }
  of_x = over_block(of_x);
  of_t = over_block(of_t);
  const float lse_x = of_x.log(), lse_t = of_t.log();
  if (threadIdx.x == 0) c.kl[row] = of_t.along / of_t.sum + lse_x - lse_t;
  if (!c.gradient) return;
  for (int64_t j = threadIdx.x * W; j < c.v; j += kLogitThreads * W) {
    read<W>((kept ? kept : x) + j, a);
    read<W>(t + j, b);
#pragma unroll
    for (int i = 0; i < W; ++i)
      a[i] = c.kl_gradient * (quick_exp(a[i] * c.inverse_tau - lse_x) -
                              quick_exp(b[i] * c.inverse_tau - lse_t)) +
             label.at(a[i]);
    write<W>(x + j, a);
  }
}

// The formulas of top_rows.h. The student's logits at the ids are set aside, -infinity stands in
// their place until the gradient is written.
template <int W, class T>
__device__ void against_top(const Chunk<T>& c, int64_t row, T* x, const Label& label, float* room) {
  const int32_t* ids = c.ids + row * c.k;
  float *log_p = room, *of_x = room + c.k;
  ExpSum top;
  for (int64_t i = threadIdx.x; i < c.k; i += kLogitThreads) {
    log_p[i] = wide(c.log_probs[row * c.k + i]);
    of_x[i] = wide(x[ids[i]]);
    x[ids[i]] = narrow<T>(-INFINITY);
    const float scaled = of_x[i] * c.inverse_tau;
    take<1>(top, &scaled, nullptr);
  }
  top = over_block(top);
  __shared__ float stored_sum;
  if (threadIdx.x == 0) {
    float sum = 0;
    for (int64_t i = 0; i < c.k; ++i) sum += quick_exp(log_p[i]);
    stored_sum = sum;
  }
  ExpSum tail;
  float a[W];
  __syncthreads();
  for (int64_t j = threadIdx.x * W; j < c.v && c.k < c.v; j += kLogitThreads * W) {
    read<W>(x + j, a);
#pragma unroll
    for (int i = 0; i < W; ++i) a[i] *= c.inverse_tau;
    take<W>(tail, a, nullptr);
  }
  tail = over_block(tail);
  const bool whole = !(c.k < c.v && stored_sum <= 1.0f);
  const float log_sum = whole ? logf(stored_sum) : 0.0f, p_tail = whole ? 0.0f : 1.0f - stored_sum;
  const float lse_x = merged(top, tail).log(), lse_tail = c.k < c.v ? tail.log() : -INFINITY;
  if (threadIdx.x == 0) {
    float kl = p_tail > 0.0f ? p_tail * (logf(p_tail) - lse_tail + lse_x) : 0.0f;
    for (int64_t i = 0; i < c.k; ++i) {
      const float lp = log_p[i] - log_sum;
      kl += quick_exp(lp) * (lp - of_x[i] * c.inverse_tau + lse_x);
    }
    c.kl[row] = kl;
  }
  if (!c.gradient) return;
  const float outside = c.kl_gradient * (quick_exp(lse_tail - lse_x) - p_tail);
  for (int64_t j = threadIdx.x * W; j < c.v && c.k < c.v; j += kLogitThreads * W) {
    read<W>(x + j, a);
#pragma unroll
    for (int i = 0; i < W; ++i)
      a[i] = outside * quick_exp(a[i] * c.inverse_tau - lse_tail) + label.at(a[i]);
    write<W>(x + j, a);
  }
  __syncthreads();
  for (int64_t i = threadIdx.x; i < c.k; i += kLogitThreads) {
    const float p = quick_exp(log_p[i] - log_sum);
    x[ids[i]] = narrow<T>(c.kl_gradient * (quick_exp(of_x[i] * c.inverse_tau - lse_x) - p) +
                          label.at(of_x[i]));
  }
}

template <int W, class T>
__global__ void __launch_bounds__(kLogitThreads) row_losses(Chunk<T> c) {
  extern __shared__ __align__(16) float room[];
  const int64_t row = blockIdx.x;
  T* x = c.x + row * c.v;
  const Label label = read_label<W>(c, row, x);
  if (c.k > 0) {
    against_top<W>(c, row, x, label, room);
  } else if (c.t) {
    against_logits<W>(c, row, x, c.t + row * c.v, label,
                      c.keep ? reinterpret_cast<T*>(room) : nullptr);
  } else {
    float a[W];
    if (threadIdx.x == 0) c.kl[row] = 0;
    for (int64_t j = threadIdx.x * W; j < c.v && c.gradient; j += kLogitThreads * W) {
      read<W>(x + j, a);
#pragma unroll
      for (int i = 0; i < W; ++i) a[i] = label.at(a[i]);
      write<W>(x + j, a);
    }
  }
  if (!c.gradient || label.weight == 0.0f) return;
  __syncthreads();
  if (threadIdx.x == 0) {
    T& to = x[c.targets[row]];
    to = narrow<T>(wide(to) - label.weight);
  }
}

__global__ void totals(const double* sums, double tau, double per_row, double per_label,
                       double kl_weight, double label_weight, double* kl, double* labels,
                       float* loss) {
  *kl = sums[0] * tau * tau * per_row;
  *labels = sums[1] * per_label;
  *loss = static_cast<float>(kl_weight * *kl + label_weight * *labels);
}

}  // namespace

void head_chunk(Tensor& logits, Tensor& teacher_logits, const TopLogProbs& top,
                const Tensor& targets, const HeadWeights& weights, bool gradient, Tensor& sums) {
  const int64_t rows = logits.dim(0), v = logits.dim(1);
  const int64_t k = top.ids.defined() ? top.ids.dim(1) : 0;
  Tensor losses = Tensor::uninitialized({2, rows}, DType::f32, Device::cuda);
  const Tensor ids = k ? top.ids.to(Device::cuda) : Tensor(),
               log_probs = k ? top.log_probs.to(Device::cuda) : Tensor();
  const size_t row_bytes = static_cast<size_t>(v) * dtype_bytes(logits.dtype());
  with_number(logits.dtype(), "head_loss", [&]<class T>() {
    const Chunk<T> c{.v = v,
                     .x = numbers<T>(logits),
                     .t = numbers_or_null<T>(teacher_logits),
                     .k = k,
                     .ids = k ? numbers<int32_t>(ids) : nullptr,
                     .log_probs = k ? numbers<__half>(log_probs) : nullptr,
                     .targets = targets.defined() ? numbers<int32_t>(targets) : nullptr,
                     .inverse_tau = static_cast<float>(1.0 / weights.tau),
                     .kl_gradient = static_cast<float>(weights.kl_gradient),
                     .label_gradient = static_cast<float>(weights.label_gradient),
                     .gradient = gradient,
                     .keep = row_bytes <= kMostKept && k == 0 && gradient,
                     .kl = numbers<float>(losses),
                     .labels = numbers<float>(losses) + rows};
    const size_t shared = c.keep ? row_bytes : static_cast<size_t>(2 * k) * sizeof(float);
    with_width(whole_packs(v, {c.x, c.t}), [&]<int W>() {
      check(cudaFuncSetAttribute(row_losses<W, T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(kMostKept)),
            "head_loss");
      row_losses<W><<<static_cast<unsigned>(rows), kLogitThreads, shared, stream()>>>(c);
    });
  });
  double* to = numbers<double>(sums);
  const float* from = numbers<float>(losses);
  sum_in_order<<<1, 256, 0, stream()>>>(rows, from, 1.0, 1.0, to);
  sum_in_order<<<1, 256, 0, stream()>>>(rows, from + rows, 1.0, 1.0, to + 1);
  check_launch("head_loss");
}

void head_totals(const Tensor& sums, double per_row, double per_label, const HeadLossSettings& s,
                 HeadLoss& to, Tensor& loss) {
  totals<<<1, 1, 0, stream()>>>(numbers<double>(sums), s.kl_temperature, per_row, per_label,
                                s.kl_weight, s.label_weight, numbers<double>(to.kl),
                                numbers<double>(to.labels), numbers<float>(loss));
  check_launch("head_loss");
}

}  // namespace halftone::cuda
