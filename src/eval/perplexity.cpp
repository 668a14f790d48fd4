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

// Tokens of the text that a window takes.
int64_t tokens_of_window(const EvalText& text, const TextSettings& s) {
  return s.context - (text.window_bos && s.protocol == Protocol::hf ? 1 : 0);
}

std::vector<int32_t> window_of(const EvalText& text, const TextSettings& s, int64_t index) {
  const int64_t taken = tokens_of_window(text, s);
  const auto begin = text.tokens.begin() + index * taken;
  std::vector<int32_t> out;
  if (taken < s.context) out.push_back(*text.window_bos);
  out.insert(out.end(), begin, begin + taken);
  if (text.window_bos) out[0] = *text.window_bos;
  return out;
}

// One window of each rank.
std::vector<TokenScores> gathered(const TokenScores& own, const Ranks& ranks) {
  std::vector<TokenScores> out;
  for (const std::vector<double>& s :
       ranks.gather(std::vector{own.nll, own.teacher_nll, own.kl, own.agree}))
    out.push_back({s.at(0), s.at(1), s.at(2), s.at(3)});
  return out;
}

}  // namespace

int64_t evaluation_windows(const EvalText& text, const TextSettings& s) {
  if (const bool llamacpp = s.protocol == Protocol::llamacpp; window_predictions(s) < 1)
    throw_error(ErrorKind::recipe,
                "eval.context: {} tokens a window leave nothing to predict{}, at least {} expected",
                s.context, llamacpp ? " (protocol llamacpp scores its second half)" : "",
                llamacpp ? 3 : 2);
  const int64_t tokens = static_cast<int64_t>(text.tokens.size());
  const int64_t windows = tokens / tokens_of_window(text, s);
  if (windows == 0)
    throw_error(ErrorKind::recipe, "eval.text: {}: {} tokens, at least {} = {} expected", s.text,
                tokens,
                tokens_of_window(text, s) == s.context ? "eval.context" : "eval.context less a BOS",
                tokens_of_window(text, s));
  return s.max_windows > 0 ? std::min(windows, s.max_windows) : windows;
}

Evaluation evaluate(Decoder& model, Decoder* teacher, const EvalText& text, const TextSettings& s,
                    const EvalProgress& progress, const Ranks& ranks) {
  const int64_t windows = evaluation_windows(text, s);
  const int64_t first = s.protocol == Protocol::llamacpp ? s.context / 2 : 0;
  const int64_t each = window_predictions(s);
  const auto scores_of = [&](int64_t k) {
    const std::vector<int32_t> window = window_of(text, s, k);
    const Scored own = states_of(model, window);
    Scored other;
    if (teacher) other = states_of(*teacher, window);
    return score(own, teacher ? &other : nullptr, window, first);
  };
  TokenScores total;
  for (int64_t k = 0; k < windows;) {
    const int64_t mine = k + ranks.rank();
    // Blocks in parts are run by all or none: a rank that has no window left runs the last.
    const bool runs = mine < windows || model.hold_block;
    for (const TokenScores& scores :
         gathered(runs ? scores_of(std::min(mine, windows - 1)) : TokenScores(), ranks))
      if (k < windows) {
        total.add(scores);
        ++k;
      }
    if (progress) progress(k, windows, std::exp(total.nll / static_cast<double>(k * each)));
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
