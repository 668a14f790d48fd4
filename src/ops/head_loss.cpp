#include "halftone/ops/head_loss.h"

#include <algorithm>

#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "halftone/ops/linear.h"
#include "halftone/tensor/gemm.h"
#include "logit_rows.h"
#include "top_rows.h"

namespace halftone {
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

// Losses of `rows` rows; the logits x become their gradient when it is wanted. targets may be null.
template <class T>
Sums chunk_losses(int64_t rows, int64_t v, T* x, const ChunkTeacher<T>& teacher,
                  const int32_t* targets, const Weights<T>& w, bool gradient) {
  std::vector<Sums> parts(divide_up(rows, kRows));
  parallel_for(rows, kRows, [&](int64_t begin, int64_t end) {
    Sums& part = parts[begin / kRows];
    const int64_t k = teacher.k;
    std::vector<T> room(static_cast<size_t>(3 * k));
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        T* xi = x + i * v;
        const bool labelled = targets && targets[i] != kIgnoredTarget;
        const LabelGradient<T> label{labelled ? w.label_gradient : T(0),
                                     labelled ? log_sum_exp(v, xi, T(1)) : T(0)};
        if (labelled) part.labels += static_cast<double>(label.lse - xi[targets[i]]);
        if (k > 0) {
          TopRow<T> row{k, teacher.ids + i * k, room.data(), room.data() + k, room.data() + 2 * k};
          part.kl += static_cast<double>(
              kl_from_top(v, xi, row, teacher.log_probs + i * k, w, label, gradient));
        } else if (teacher.logits) {
          part.kl += static_cast<double>(
              kl_from_logits(v, xi, teacher.logits + i * v, w, label, gradient));
        } else if (gradient) {
          for (int64_t j = 0; j < v; ++j) xi[j] = label(xi[j]);
        }
        if (gradient && labelled) xi[targets[i]] -= label.weight;
      }
    });
  });
  Sums sums;
  for (const Sums& part : parts) {
    sums.kl += part.kl;
    sums.labels += part.labels;
  }
  return sums;
}

// N x k ids of a vocabulary of v, ascending in each row: every one of another id.
bool fits(const TopLogProbs& top, int64_t n, int64_t v) {
  if (top.ids.rank() != 2 || top.ids.dim(0) != n || top.ids.shape() != top.log_probs.shape())
    return false;
  const int64_t k = top.ids.dim(1);
  const int32_t* ids = top.ids.data<int32_t>();
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

int64_t head_chunk_tokens(int64_t vocabulary) {
  return std::clamp((int64_t{1} << 21) / vocabulary, int64_t{192}, int64_t{512});
}

HeadLoss head_loss(const Var& x, const Var& weight, const HeadTeacher* teacher,
                   const std::vector<int32_t>* targets, const HeadLossSettings& s) {
  check(x, weight, teacher, targets, s);
  const int64_t n = x.dim(0), v = weight.dim(0);
  const int64_t chunk = std::min(n, s.chunk_tokens ? s.chunk_tokens : head_chunk_tokens(v));
  const DType dtype = x.dtype();
  int64_t counted = 0;
  if (targets)
    for (int32_t t : *targets) counted += t != kIgnoredTarget;
  const double per_row = 1.0 / static_cast<double>(n),
               per_label = counted ? 1.0 / static_cast<double>(counted) : 0.0;
  const double tau = s.kl_temperature;
  const bool need_x = x.needs_grad(), need_w = weight.needs_grad();

  Tensor dx, dw;
  if (need_x) dx = Tensor::uninitialized(x.shape(), dtype);
  if (need_w) dw = Tensor::uninitialized(weight.shape(), dtype);
  const TopLogProbs* top = teacher && teacher->top.ids.defined() ? &teacher->top : nullptr;
  Tensor student_logits = Tensor::uninitialized({chunk, v}, dtype), teacher_logits;
  if (teacher && !top) teacher_logits = Tensor::uninitialized({chunk, v}, dtype);
  Sums sums;
  for (int64_t begin = 0; begin < n; begin += chunk) {
    const int64_t rows = std::min(chunk, n - begin);
    const Tensor x_rows = x.value().rows(begin, begin + rows);
    Tensor logits = student_logits.rows(0, rows), teacher_rows;
    multiply_weight(x_rows, weight.value(), logits);
    if (teacher_logits.defined()) {
      teacher_rows = teacher_logits.rows(0, rows);
      multiply_weight(teacher->hidden.rows(begin, begin + rows), teacher->weight, teacher_rows);
    }
    with_real(dtype, "head_loss", [&]<class T>() {
      const Weights<T> w{static_cast<T>(1 / tau), static_cast<T>(s.kl_weight * tau * per_row),
                         static_cast<T>(s.label_weight * per_label)};
      ChunkTeacher<T> of_rows;
      if (teacher_rows.defined()) of_rows.logits = teacher_rows.data<T>();
      if (top)
        of_rows = {.k = top->ids.dim(1),
                   .ids = top->ids.rows(begin, begin + rows).data<int32_t>(),
                   .log_probs = top->log_probs.rows(begin, begin + rows).data<half_t>()};
      const Sums part =
          chunk_losses<T>(rows, v, logits.data<T>(), of_rows,
                          targets ? targets->data() + begin : nullptr, w, need_x || need_w);
      sums.kl += part.kl;
      sums.labels += part.labels;
    });
    if (need_x) {
      Tensor dx_rows = dx.rows(begin, begin + rows);
      gemm(Transpose::no, Transpose::no, logits, weight.value().to(dtype), 0, dx_rows);
    }
    if (need_w) gemm(Transpose::yes, Transpose::no, logits, x_rows, begin == 0 ? 0 : 1, dw);
  }

  HeadLoss out;
  out.kl = teacher ? sums.kl * tau * tau * per_row : 0;
  out.labels = sums.labels * per_label;
  const double loss = s.kl_weight * out.kl + s.label_weight * out.labels;
  out.loss = x.tape().record(
      "head_loss", {x, weight}, Tensor::scalar(loss, dtype),
      [x = x.without_value(), weight = weight.without_value(), dx, dw](const Tensor& dy) {
        // Usually dy = 1; another factor scales what the forward pass made.
        const auto add = [&](const Var& input, Tensor gradient) {
          if (dy.item() != 1.0) {
            with_real(gradient.dtype(), "head_loss", [&]<class T>() {
              T* g = gradient.data<T>();
              const T k = static_cast<T>(dy.item());
              parallel_for(gradient.numel(), 1 << 14, [&](int64_t b, int64_t e) {
                for (int64_t i = b; i < e; ++i) g[i] *= k;
              });
            });
          }
          input.add_grad(gradient);
        };
        if (x.needs_grad()) add(x, dx);
        if (weight.needs_grad()) add(weight, dw);
      });
  return out;
}

}  // namespace halftone
