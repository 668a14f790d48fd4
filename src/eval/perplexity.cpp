#include "halftone/eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "halftone/base/threads.h"
#include "ops/logit_rows.h"

namespace halftone {
namespace {

constexpr int64_t kChunk = 512;  // tokens whose logits exist at a time

struct Sums {
  double nll = 0, teacher_nll = 0, kl = 0, agree = 0;

  void add(const Sums& other) {
    nll += other.nll;
    teacher_nll += other.teacher_nll;
    kl += other.kl;
    agree += other.agree;
  }
};

// Of one window: a model, and its states after the final norm.
struct Scored {
  Decoder* model;
  Tensor states;
};

Scored states_of(Decoder& model, const std::vector<int32_t>& window) {
  Tape tape(Tape::Mode::no_grad);
  return {&model, model.hidden(tape, window, 1).value()};
}

int64_t argmax(int64_t v, const float* x) {
  return std::max_element(x, x + v) - x;
}

// Sums over predictions of window[first + 1 ..] from the hidden states at first .. end - 2.
Sums score(const Scored& own, const Scored* teacher, const std::vector<int32_t>& window,
           int64_t first) {
  const int64_t last = static_cast<int64_t>(window.size()) - 1;
  Sums total;
  for (int64_t begin = first; begin < last; begin += kChunk) {
    const int64_t rows = std::min(kChunk, last - begin);
    const auto logits_of = [&](const Scored& scored) {
      return scored.model->logits(scored.states.rows(begin, begin + rows));
    };
    const Tensor x = logits_of(own), t = teacher ? logits_of(*teacher) : Tensor();
    const int64_t v = x.dim(1);
    const float* xs = x.data<float>();
    const float* ts = teacher ? t.data<float>() : nullptr;
    std::vector<Sums> parts(rows);
    parallel_for(rows, 4, [&](int64_t from, int64_t to) {
      simd([&]() HT_INLINE {
        for (int64_t i = from; i < to; ++i) {
          const int32_t next = window[begin + i + 1];
          const float lse = log_sum_exp(v, xs + i * v, 1.0f);
          parts[i].nll = static_cast<double>(lse - xs[i * v + next]);
          if (!ts) continue;
          const float lse_t = log_sum_exp(v, ts + i * v, 1.0f);
          parts[i].teacher_nll = static_cast<double>(lse_t - ts[i * v + next]);
          parts[i].kl = static_cast<double>(kl_row(v, xs + i * v, ts + i * v, lse, lse_t, 1.0f));
        }
      });
      // Logits among which there is none that is largest agree with nothing.
      for (int64_t i = from; i < to; ++i)
        if (ts && !std::isnan(parts[i].nll) && !std::isnan(parts[i].teacher_nll))
          parts[i].agree = argmax(v, xs + i * v) == argmax(v, ts + i * v);
    });
    for (const Sums& part : parts) total.add(part);
  }
  return total;
}

// Tokens of the text that a window takes.
int64_t tokens_of_window(const EvalText& text, const EvalSettings& s) {
  return s.context - (text.window_bos && s.protocol == Protocol::hf ? 1 : 0);
}

std::vector<int32_t> window_of(const EvalText& text, const EvalSettings& s, int64_t index) {
  const int64_t taken = tokens_of_window(text, s);
  const auto begin = text.tokens.begin() + index * taken;
  std::vector<int32_t> out;
  if (taken < s.context) out.push_back(*text.window_bos);
  out.insert(out.end(), begin, begin + taken);
  if (text.window_bos) out[0] = *text.window_bos;
  return out;
}

}  // namespace

int64_t evaluation_windows(const EvalText& text, const EvalSettings& s) {
  if (const bool llamacpp = s.protocol == Protocol::llamacpp; window_predictions(s) < 1)
    throw_error(ErrorKind::recipe,
                "eval.context: {} tokens a window leave nothing to predict{}, at least {} expected",
                s.context, llamacpp ? " (protocol llamacpp scores its second half)" : "",
                llamacpp ? 3 : 2);
  const int64_t tokens = static_cast<int64_t>(text.tokens.size());
  const int64_t windows = tokens / tokens_of_window(text, s);
  if (windows == 0)
    throw_error(ErrorKind::recipe, "eval.text: {} tokens, at least {} = {} expected", tokens,
                tokens_of_window(text, s) == s.context ? "eval.context" : "eval.context less a BOS",
                tokens_of_window(text, s));
  return s.max_windows > 0 ? std::min(windows, s.max_windows) : windows;
}

Evaluation evaluate(Decoder& model, Decoder* teacher, const EvalText& text, const EvalSettings& s,
                    const EvalProgress& progress) {
  const int64_t windows = evaluation_windows(text, s);
  const int64_t first = s.protocol == Protocol::llamacpp ? s.context / 2 : 0;
  const int64_t each = window_predictions(s);
  Sums total;
  for (int64_t k = 0; k < windows; ++k) {
    const std::vector<int32_t> window = window_of(text, s, k);
    const Scored own = states_of(model, window);
    Scored other;
    if (teacher) other = states_of(*teacher, window);
    total.add(score(own, teacher ? &other : nullptr, window, first));
    if (progress)
      progress(k + 1, windows, std::exp(total.nll / static_cast<double>((k + 1) * each)));
  }
  // Windows are equally long, so the mean of the windows' means is the mean over all predictions.
  const double count = static_cast<double>(windows * each);
  Evaluation out{
      .perplexity = std::exp(total.nll / count), .windows = windows, .predictions = windows * each};
  if (teacher)
    out.agreement = {.teacher_perplexity = std::exp(total.teacher_nll / count),
                     .kl = total.kl / count,
                     .top1 = total.agree / count};
  return out;
}

}  // namespace halftone
