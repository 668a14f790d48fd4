// Rows of logits against the token behind each.
#include "halftone/ops/token_scores.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "halftone/base/threads.h"
#include "logit_rows.h"
#include "tensor/dispatch.h"

namespace halftone {

HT_KERNEL(add_token_scores, const Tensor& x, const Tensor& t, const Tensor& next, TokenScores& sums)

namespace {

int64_t argmax(int64_t v, const float* x) {
  return std::max_element(x, x + v) - x;
}

}  // namespace

void cpu::add_token_scores(const Tensor& x, const Tensor& t, const Tensor& next,
                           TokenScores& sums) {
  const int64_t rows = x.dim(0), v = x.dim(1);
  const float* xs = x.data<float>();
  const float* ts = t.defined() ? t.data<float>() : nullptr;
  const int32_t* ids = next.data<int32_t>();
  for (int64_t i = 0; i < rows; ++i)
    require(ids[i] >= 0 && ids[i] < v, "token_scores: token {}, vocabulary {}", ids[i], v);
  std::vector<TokenScores> parts(static_cast<size_t>(rows));
  parallel_for(rows, 4, [&](int64_t from, int64_t to) {
    simd([&]() HT_INLINE {
      for (int64_t i = from; i < to; ++i) {
        const float lse = log_sum_exp(v, xs + i * v, 1.0f);
        parts[i].nll = static_cast<double>(lse - xs[i * v + ids[i]]);
        if (!ts) continue;
        const float lse_t = log_sum_exp(v, ts + i * v, 1.0f);
        parts[i].teacher_nll = static_cast<double>(lse_t - ts[i * v + ids[i]]);
        parts[i].kl = static_cast<double>(kl_row(v, xs + i * v, ts + i * v, lse, lse_t, 1.0f));
      }
    });
    // Logits among which there is none that is largest agree with nothing.
    for (int64_t i = from; i < to; ++i)
      if (ts && !std::isnan(parts[i].nll) && !std::isnan(parts[i].teacher_nll))
        parts[i].agree = argmax(v, xs + i * v) == argmax(v, ts + i * v);
  });
  for (const TokenScores& part : parts) sums.add(part);
}

void TokenScores::add(const TokenScores& other) {
  nll += other.nll;
  teacher_nll += other.teacher_nll;
  kl += other.kl;
  agree += other.agree;
}

void add_token_scores(const Tensor& x, const Tensor& t, const Tensor& next, TokenScores& sums) {
  require(
      x.rank() == 2 && next.shape() == Shape{x.dim(0)} && (!t.defined() || t.shape() == x.shape()),
      "token_scores: logits {}, {} tokens", shape_text(x.shape()), shape_text(next.shape()));
  HT_RUN(add_token_scores, x.device(), x, t, next, sums);
}

}  // namespace halftone
