// Windows of a text through a model, and what they say together.
#include "halftone/eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "halftone/ops/token_scores.h"

namespace halftone {
namespace {

constexpr int64_t kChunk = 512;  // tokens whose logits exist at a time

// Of one window: a model, and its states after the final norm.
struct Scored {
  Decoder* model;
  Tensor states;
};

Scored states_of(Decoder& model, const std::vector<int32_t>& window) {
  Tape tape(Tape::Mode::no_grad);
  return {&model, model.hidden(tape, window, 1).value()};
}

// Sums over predictions of window[first + 1 ..] from the hidden states at first .. end - 2.
TokenScores score(const Scored& own, const Scored* teacher, const std::vector<int32_t>& window,
                  int64_t first) {
  TokenScores total;
  const int64_t last = static_cast<int64_t>(window.size()) - 1;
  for (int64_t begin = first; begin < last; begin += kChunk) {
    const int64_t rows = std::min(kChunk, last - begin);
    const auto logits_of = [&](const Scored& scored) {
      return scored.model->logits(scored.states.rows(begin, begin + rows));
    };
    const std::vector<int32_t> next(window.begin() + begin + 1, window.begin() + begin + 1 + rows);
    const Tensor x = logits_of(own), t = teacher ? logits_of(*teacher) : Tensor();
    add_token_scores(x, t, Tensor::of({rows}, next), total);
  }
  return total;
}

}  // namespace

int64_t evaluation_windows(int64_t tokens, const EvalSettings& s) {
  if (const bool llamacpp = s.protocol == Protocol::llamacpp; window_predictions(s) < 1)
    throw_error(ErrorKind::recipe,
                "eval.context: {} tokens a window leave nothing to predict{}, at least {} expected",
                s.context, llamacpp ? " (protocol llamacpp scores its second half)" : "",
                llamacpp ? 3 : 2);
  const int64_t windows = tokens / s.context;
  if (windows == 0)
    throw_error(ErrorKind::recipe, "eval.text: {} tokens, at least eval.context = {} expected",
                tokens, s.context);
  return s.max_windows > 0 ? std::min(windows, s.max_windows) : windows;
}

Evaluation evaluate(Decoder& model, Decoder* teacher, const std::vector<int32_t>& tokens,
                    const EvalSettings& s, int32_t window_bos, const EvalProgress& progress) {
  const int64_t windows = evaluation_windows(static_cast<int64_t>(tokens.size()), s);
  const bool llamacpp = s.protocol == Protocol::llamacpp;
  const int64_t first = llamacpp ? s.context / 2 : 0;
  const int64_t each = window_predictions(s);
  TokenScores total;
  for (int64_t k = 0; k < windows; ++k) {
    std::vector<int32_t> window(tokens.begin() + k * s.context,
                                tokens.begin() + (k + 1) * s.context);
    if (llamacpp && window_bos >= 0) window[0] = window_bos;
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
