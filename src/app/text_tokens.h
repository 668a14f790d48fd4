// The texts of a recipe as tokens: for evaluation, and for training (files and generated text).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/recipe.h"
#include "app/run.h"
#include "halftone/eval/perplexity.h"
#include "halftone/io/run_directory.h"
#include "halftone/model/load.h"
#include "halftone/text/mixing.h"
#include "halftone/text/tokenizer.h"

namespace halftone {

// A text to be measured, as the settings have it for a model.
struct HeldOutText {
  EvalText text;
  TextSettings settings;  // bos is where it stands; none of a tokenizer without
  std::string sha256;     // of the file

  int64_t tokens() const { return static_cast<int64_t>(text.tokens.size()); }
};

// Throws Error(recipe) where each window shall have a BOS and the tokenizer has none, Error(format)
// for ids without a row.
HeldOutText read_held_out(const TextSettings& settings, const Tokenizer& tokenizer,
                          const ModelConfig& config);

// The same of tokens that stand as a model is to read them: of a token file, or of the documents
// that data.held_out keeps. `sha256` is of the ids, as i32.
HeldOutText held_out_tokens(const TextSettings& settings, std::vector<int32_t> ids,
                            const Tokenizer& tokenizer, const ModelConfig& config);

// How those documents are measured: as eval says, under the name "held-out"; `path` is where the
// run directory has them.
TextSettings held_out_settings(const Recipe& recipe, const std::string& path);

// Ids below `vocabulary`, the same for the same count: of a text where none is known.
std::vector<int32_t> random_ids(int64_t count, int64_t vocabulary);

struct TrainingText {
  TokenSequences sequences;
  std::string sha256;            // of the tokens
  int64_t generated_tokens = 0;  // of them
};

// The shared token files of a recipe's texts, beside the run directories.
TokenCache token_cache(const Recipe& recipe, bool write);

// `read`, the tokens of data.train or data.source, and those of data.generate. Generated text is
// cached beside the run directories, in a file named by the teacher and the settings; an
// interrupted generation goes on where it was. Several ranks make a batch each at a time.
TrainingText training_text(const Recipe& recipe, const RunOptions& options,
                           const Tokenizer& tokenizer, TokenStream read,
                           const LoadedModel* teacher);

// The calibration windows of a recipe, drawn without replacement, one after another, from `read`,
// the tokens of calibration.text, or where there is none from generated text. Throws Error(recipe)
// when it is too short.
struct CalibrationText {
  std::vector<int32_t> tokens;
  int64_t sequences = 0;
  std::string sha256;  // of the tokens
};
CalibrationText calibration_text(const Recipe& recipe, const RunOptions& options,
                                 const Tokenizer& tokenizer, TokenStream read,
                                 const LoadedModel& teacher);

// Throws Error(recipe) where a text of so many tokens has too few windows.
void require_calibration_windows(const CalibrationSettings& settings, int64_t tokens);

}  // namespace halftone
