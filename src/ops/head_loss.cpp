// The head, KL and cross entropy together, a chunk of tokens at a time.
#include "halftone/ops/head_loss.h"

#include <algorithm>
#include <bit>

#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/arithmetic.h"
#include "halftone/tensor/gemm.h"
#include "head_weights.h"
#include "logit_rows.h"
#include "tensor/dispatch.h"
#include "top_rows.h"

namespace halftone {
// The losses of a chunk's rows: sums (2, F64) += KL / tau^2 and cross entropies. The logits become
// their gradient when it is wanted. The teacher is logits, which are spoilt, or what is known of
// its likeliest ids, or neither; targets (N, I32) may be undefined.
HT_KERNEL(head_chunk, Tensor& logits, Tensor& teacher_logits, const TopLogProbs& top,
          const Tensor& targets, const HeadWeights& weights, bool gradient, Tensor& sums)
// The sums' means, and what they weigh together.
HT_KERNEL(head_totals, const Tensor& sums, double per_row, double per_label,
          const HeadLossSettings& settings, HeadLoss& to, Tensor& loss)

namespace {

constexpr int64_t kRows = 4;

// What one row's losses are weighted by in the mean.
template <class T>
struct Weights {
  T inverse_tau, kl_gradient, label_gradient;
};

struct Sums {
  double kl = 0, labels = 0;
};

template <class T>
struct NoGradient {
  HT_INLINE T operator()(T) const { return T(0); }
};

// The teacher of a chunk's rows: logits, or what is known of its k likeliest ids, or neither.
template <class T>
struct ChunkTeacher {
  T* logits = nullptr;
  int64_t k = 0;
  const int32_t* ids = nullptr;
  const half_t* log_probs = nullptr;
};

// Cross entropy of one row: its gradient by a logit, without the target's own part.
template <class T>
struct LabelGradient {
  T weight, lse;
  HT_INLINE T operator()(T x) const { return weight * fast_exp(x - lse); }
};

// KL of one row; the logits x become its gradient, and the labels', when it is wanted. Both rows
// are spoilt.
template <class T>
HT_INLINE inline T kl_from_logits(int64_t v, T* x, T* t, const Weights<T>& w,
                                  const LabelGradient<T>& label, bool gradient) {
  if (label.weight == T(0)) {
    const KlSums<T> sums = kl_row_in_place(v, x, t, w.inverse_tau);
    if (gradient) kl_row_gradient_in_place(v, x, t, sums, w.kl_gradient, x);
    return sums.kl;
  }
  const T lse_x = log_sum_exp(v, x, w.inverse_tau), lse_t = log_sum_exp(v, t, w.inverse_tau);
  const T kl = kl_row(v, x, t, lse_x, lse_t, w.inverse_tau);
  if (gradient)
    for (int64_t j = 0; j < v; ++j)
      x[j] = w.kl_gradient *
                 (fast_exp(x[j] * w.inverse_tau - lse_x) - fast_exp(t[j] * w.inverse_tau - lse_t)) +
             label(x[j]);
  return kl;
}

// The same of a teacher whose likeliest ids are known; x is spoilt when no gradient is wanted.
template <class T>
HT_INLINE inline T kl_from_top(int64_t v, T* x, TopRow<T>& row, const half_t* log_probs,
                               const Weights<T>& w, const LabelGradient<T>& label, bool gradient) {
  load_top_row(v, log_probs, row);
  take_top(v, x, w.inverse_tau, row);
  const T kl = top_kl_row(row, w.inverse_tau);
  if (!gradient) return kl;
  if (label.weight != T(0))
    top_kl_row_gradient(v, row, w.inverse_tau, w.kl_gradient, label, x);
  else
    top_kl_row_gradient(v, row, w.inverse_tau, w.kl_gradient, NoGradient<T>{}, x);
  return kl;
}

// Losses of rows [begin, end); the logits x become their gradient when it is wanted.
template <class T>
HT_INLINE inline Sums row_losses(int64_t begin, int64_t end, int64_t v, T* x,
                                 const ChunkTeacher<T>& teacher, const int32_t* targets,
                                 const Weights<T>& w, bool gradient, T* room) {
  Sums sums;
  const int64_t k = teacher.k;
  for (int64_t i = begin; i < end; ++i) {
    T* xi = x + i * v;
    const bool labelled = targets && targets[i] != kIgnoredTarget;
    const LabelGradient<T> label{labelled ? w.label_gradient : T(0),
                                 labelled ? log_sum_exp(v, xi, T(1)) : T(0)};
    if (labelled) sums.labels += static_cast<double>(label.lse - xi[targets[i]]);
    if (k > 0) {
      TopRow<T> row{k, teacher.ids + i * k, room, room + k, room + 2 * k};
      sums.kl += static_cast<double>(
          kl_from_top(v, xi, row, teacher.log_probs + i * k, w, label, gradient));
    } else if (teacher.logits) {
      sums.kl +=
          static_cast<double>(kl_from_logits(v, xi, teacher.logits + i * v, w, label, gradient));
    } else if (gradient) {
      for (int64_t j = 0; j < v; ++j) xi[j] = label(xi[j]);
    }
    if (gradient && labelled) xi[targets[i]] -= label.weight;
  }
  return sums;
}

// N x k ids of a vocabulary of v, ascending in each row: every one of another id.
bool fits(const TopLogProbs& top, int64_t n, int64_t v) {
  if (top.ids.rank() != 2 || top.ids.dim(0) != n || top.ids.shape() != top.log_probs.shape())
    return false;
  const int64_t k = top.ids.dim(1);
  const Tensor here = top.ids.to(Device::cpu);
  const int32_t* ids = here.data<int32_t>();
  for (int64_t i = 0; i < n * k; ++i)
    if (ids[i] < 0 || ids[i] >= v || (i % k > 0 && ids[i] <= ids[i - 1])) return false;
  return k > 0;
}

void check(const Var& x, const Var& weight, const HeadTeacher* teacher,
           const std::vector<int32_t>* targets, const HeadLossSettings& s) {
  require(x.value().rank() == 2 && weight.value().rank() == 2 && x.dim(1) == weight.dim(1),
          "head_loss: x {}, weight {}", shape_text(x.shape()), shape_text(weight.shape()));
  const bool has_topk = teacher && teacher->top.ids.defined();
  require(!has_topk || fits(teacher->top, x.dim(0), weight.dim(0)),
          "head_loss: the teacher's likeliest ids do not fit");
  require(!teacher || has_topk ||
              (teacher->hidden.dim(0) == x.dim(0) && teacher->weight.dim(0) == weight.dim(0) &&
               teacher->hidden.dim(1) == teacher->weight.dim(1)),
          "head_loss: the teacher's shapes do not fit");
  require(!targets || static_cast<int64_t>(targets->size()) == x.dim(0),
          "head_loss: {} targets for {} rows", targets ? targets->size() : 0, x.dim(0));
  if (targets)
    for (int32_t t : *targets)
      require(t == kIgnoredTarget || (t >= 0 && t < weight.dim(0)),
              "head_loss: target {}, vocabulary {}", t, weight.dim(0));
  require(s.chunk_tokens >= 0 && s.kl_temperature > 0, "head_loss: chunk {}, temperature {}",
          s.chunk_tokens, s.kl_temperature);
}

}  // namespace

namespace cpu {

void head_chunk(Tensor& logits, Tensor& teacher_logits, const TopLogProbs& top,
                const Tensor& targets, const HeadWeights& weights, bool gradient, Tensor& sums) {
  with_real(logits.dtype(), "head_loss", [&]<class T>() {
    const int64_t rows = logits.dim(0), v = logits.dim(1);
    const Weights<T> w{static_cast<T>(1 / weights.tau), static_cast<T>(weights.kl_gradient),
                       static_cast<T>(weights.label_gradient)};
    ChunkTeacher<T> teacher;
    if (teacher_logits.defined()) teacher.logits = teacher_logits.data<T>();
    if (top.ids.defined())
      teacher = {.k = top.ids.dim(1),
                 .ids = top.ids.data<int32_t>(),
                 .log_probs = top.log_probs.data<half_t>()};
    const int32_t* labels = targets.defined() ? targets.data<int32_t>() : nullptr;
    T* x = logits.data<T>();
    std::vector<Sums> parts(divide_up(rows, kRows));
    parallel_for(rows, kRows, [&](int64_t begin, int64_t end) {
      std::vector<T> room(static_cast<size_t>(3 * teacher.k));
      simd([&]() HT_INLINE {
        parts[begin / kRows] =
            row_losses(begin, end, v, x, teacher, labels, w, gradient, room.data());
      });
    });
    Sums chunk;
    for (const Sums& part : parts) {
      chunk.kl += part.kl;
      chunk.labels += part.labels;
    }
    sums.data<double>()[0] += chunk.kl;
    sums.data<double>()[1] += chunk.labels;
  });
}

void head_totals(const Tensor& sums, double per_row, double per_label, const HeadLossSettings& s,
                 HeadLoss& to, Tensor& loss) {
  const double tau = s.kl_temperature, kl = sums.data<double>()[0] * tau * tau * per_row,
               labels = sums.data<double>()[1] * per_label;
  to.kl.fill(kl);
  to.labels.fill(labels);
  loss.fill(s.kl_weight * kl + s.label_weight * labels);
}

}  // namespace cpu

int64_t head_chunk_tokens(int64_t vocabulary, Device device) {
  if (device == Device::cuda)
    return std::max<int64_t>(256, static_cast<int64_t>(std::bit_floor(
                                      static_cast<uint64_t>((int64_t{1} << 28) / vocabulary))));
  return std::clamp((int64_t{1} << 21) / vocabulary, int64_t{192}, int64_t{512});
}

HeadLoss head_loss(const Var& x, const Var& weight, const HeadTeacher* teacher,
                   const std::vector<int32_t>* targets, const HeadLossSettings& s) {
  check(x, weight, teacher, targets, s);
  const int64_t n = x.dim(0), v = weight.dim(0);
  const Device device = x.value().device();
  const int64_t chunk = std::min(n, s.chunk_tokens ? s.chunk_tokens : head_chunk_tokens(v, device));
  const DType dtype = x.dtype();
  const int64_t counted =
      targets ? n - std::count(targets->begin(), targets->end(), kIgnoredTarget) : 0;
  const double per_row = 1.0 / static_cast<double>(n),
               per_label = counted ? 1.0 / static_cast<double>(counted) : 0.0;
  const HeadWeights weights{s.kl_temperature, s.kl_weight * s.kl_temperature * per_row,
                            s.label_weight * per_label};
  const bool need_x = x.needs_grad(), need_w = weight.needs_grad();

  Tensor dx, dw;
  if (need_x) dx = x.value().like();
  if (need_w) dw = weight.value().like();
  const bool has_topk = teacher && teacher->top.ids.defined();
  Tensor student_room = Tensor::uninitialized({chunk, v}, dtype, device), teacher_room, labels;
  if (teacher && !has_topk) teacher_room = student_room.like();
  if (targets) labels = Tensor::of({n}, *targets).to(device);
  Tensor sums = Tensor::zeros({2}, DType::f64, device);
  // The GPU multiplies numbers of one dtype: narrowed once, not by chunk.
  const Tensor w = dtype == DType::bf16 ? weight.value().to(dtype) : weight.value();
  for (int64_t begin = 0; begin < n; begin += chunk) {
    const int64_t rows = std::min(chunk, n - begin), end = begin + rows;
    const Tensor x_rows = x.value().rows(begin, end);
    Tensor logits = student_room.rows(0, rows), teacher_logits;
    gemm(Transpose::no, Transpose::yes, x_rows, w, 0, logits);
    if (teacher_room.defined()) {
      teacher_logits = teacher_room.rows(0, rows);
      gemm(Transpose::no, Transpose::yes, teacher->hidden.rows(begin, end), teacher->weight, 0,
           teacher_logits);
    }
    TopLogProbs top;
    if (has_topk)
      top = {teacher->top.ids.rows(begin, end), teacher->top.log_probs.rows(begin, end)};
    HT_RUN(head_chunk, device, logits, teacher_logits, top,
           targets ? labels.rows(begin, end) : Tensor(), weights, need_x || need_w, sums);
    if (need_x) {
      Tensor dx_rows = dx.rows(begin, end);
      gemm(Transpose::no, Transpose::no, logits, w.to(dtype), 0, dx_rows);
    }
    if (need_w) gemm(Transpose::yes, Transpose::no, logits, x_rows, begin == 0 ? 0 : 1, dw);
  }

  HeadLoss out{.loss = {},
               .kl = Tensor::uninitialized({}, DType::f64, device),
               .labels = Tensor::uninitialized({}, DType::f64, device)};
  Tensor loss = Tensor::uninitialized({}, sum_dtype(dtype), device);
  HT_RUN(head_totals, device, sums, teacher ? per_row : 0.0, per_label, s, out, loss);
  out.loss = x.tape().record(
      "head_loss", {x, weight}, loss,
      [x = x.without_value(), weight = weight.without_value(), dx, dw](const Tensor& dy) {
        // Usually dy = 1; another factor scales what the forward pass made.
        const auto add = [&](const Var& input, Tensor gradient) {
          scale_by(dy, gradient);
          input.add_grad(gradient);
        };
        if (x.needs_grad()) add(x, dx);
        if (weight.needs_grad()) add(weight, dw);
      });
  return out;
}

}  // namespace halftone
