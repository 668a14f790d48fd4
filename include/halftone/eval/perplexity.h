// Perplexity of a text, and agreement with a teacher on it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "halftone/base/ranks.h"
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

// What is measured.
struct EvalText {
  std::vector<int32_t> tokens;
  std::optional<int32_t> window_bos;  // in front of each window
};

// Windows of a text that are measured. Throws Error(recipe) when the text is shorter than one
// window, or when a window leaves nothing to predict.
int64_t evaluation_windows(const EvalText& text, const TextSettings& settings);

// hf (GPTQ, BiLLM, OneBit; methods 0.4): floor(T / context) disjoint windows, context - 1
// predictions each, exp of the mean of the windows' means. With a BOS in front of each window that
// is one of its `context` tokens: context - 1 of the text follow, each of which is predicted, the
// first from the BOS alone, so that no token of the text is left out.
// llamacpp: the windows without a BOS, but only predictions from position context / 2 on count; a
// BOS takes the place of the window's first token, as in llama.cpp.
// max_windows > 0 stops early. `progress(windows done, of, perplexity so far)` may be empty. Throws
// Error(recipe) as evaluation_windows does. Several ranks, which all call, share the windows out;
// they are added up in their order, to the same bits on each.
using EvalProgress = std::function<void(int64_t, int64_t, double)>;
Evaluation evaluate(Decoder& model, Decoder* teacher, const EvalText& text,
                    const TextSettings& settings, const EvalProgress& progress = {},
                    const Ranks& ranks = {});

}  // namespace halftone
