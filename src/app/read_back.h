// What an export is held against before it gets its name: the model that it was made of.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "app/recipe.h"
#include "halftone/model/load.h"

namespace halftone {

// Of the model and of what was written, over the same predictions.
struct ReadBack {
  // Perplexities over the first windows of a text; of a model without one, no text is measured.
  int64_t windows = 0;
  double model = 0, written = 0;
  double difference = 0;  // relative: of the perplexities, or of the logits' norm
  std::string no_text;    // why no text is measured, where that is known

  std::string text() const;  // one line
};

// Perplexity may differ by so much, relative, over so many windows.
inline constexpr double kMostDifference = 1e-3;
inline constexpr int64_t kWindowsReadBack = 4;
// Without a text, logits of random tokens by so much of their norm, over so many tokens: rounding
// to eight bits changes less, and a matrix in a wrong place much more.
inline constexpr double kMostLogitDifference = 2e-2;
inline constexpr int64_t kTokensReadBack = 64;

// The recipe of the run that `model` is of; nothing where there is none, or where it has a `fault`,
// as where its files have gone.
std::optional<Recipe> recipe_of(const LoadedModel& model, std::string& fault);

// Compares names and shapes of the parameters, and what both compute: the ids of the text of
// `settings` and its perplexity, or without settings the logits of random tokens. Throws
// std::runtime_error, naming `written.path`, where they differ by more than the above.
ReadBack compare_models(LoadedModel& model, LoadedModel& written,
                        const std::optional<TextSettings>& settings);

}  // namespace halftone
