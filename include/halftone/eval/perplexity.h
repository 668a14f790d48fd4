// Perplexity of a text, and agreement with a teacher on it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "halftone/eval/settings.h"
#include "halftone/nn/decoder.h"

namespace halftone {

// Of a model with its teacher, over the same predictions.
struct Agreement {
  double teacher_perplexity = 0;
  double kl = 0;    // mean a prediction, KL(teacher || model), nats
  double top1 = 0;  // share of predictions where both models' largest logits agree
};

// A broken model is measured like any other: its figures may be infinite or NaN.
struct Evaluation {
  double perplexity = 0;
  int64_t windows = 0;
  int64_t predictions = 0;             // hf: windows * (context - 1)
  std::optional<Agreement> agreement;  // with a teacher
};

// Windows of a text of so many tokens that are measured. Throws Error(recipe) when the text is
// shorter than one window, or when a window leaves nothing to predict.
int64_t evaluation_windows(int64_t tokens, const EvalSettings& settings);

// hf (GPTQ, BiLLM, OneBit; methods 0.4): floor(T / context) disjoint windows, context - 1
// predictions each, exp of the mean of the windows' means.
// llamacpp: the same windows, but only predictions from position context / 2 on count (and each
// window starts with `window_bos` where the model wants one: it takes the place of the first
// token). max_windows > 0 stops early. `progress(windows done, of, perplexity so far)` may be
// empty. Throws Error(recipe) as evaluation_windows does.
using EvalProgress = std::function<void(int64_t, int64_t, double)>;
Evaluation evaluate(Decoder& model, Decoder* teacher, const std::vector<int32_t>& tokens,
                    const EvalSettings& settings, int32_t window_bos = -1,
                    const EvalProgress& progress = {});

}  // namespace halftone
