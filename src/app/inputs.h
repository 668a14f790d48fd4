// What a run reads before its first step. `check` and `run` read it by the same code, which finds
// all that would fail later.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/evaluation.h"
#include "app/recipe.h"
#include "app/text_tokens.h"
#include "halftone/model/load.h"

namespace halftone {

struct RunInputs {
  ModelOutline teacher;  // of pretrain: the new model's
  std::unique_ptr<Tokenizer> tokenizer;
  EvalInputs eval;                    // of eval.text and eval.tasks
  SourcedText training;               // of data.train or data.source
  TokenStream calibration;            // of calibration.text
  std::vector<std::string> warnings;  // what is odd, but can be carried out
};

// Throws one Error that holds every fault, a line each, of the kind of the first: a model or a text
// that cannot be read, a tokenizer with more ids than the model has rows, texts shorter than what
// is to be drawn from them, a batch larger than the data, a disk too full for what the run writes
// to `directory`.
// `keep_tokens`: tokens of texts that are not there yet are kept beside the run directories.
// `elsewhere`: the run is planned for other machines. That a teacher's directory has its
// configuration alone, and a full disk, are warnings then.
RunInputs read_inputs(const Recipe& recipe, const std::string& directory, bool keep_tokens,
                      int ranks = 1, bool elsewhere = false);

// Sequences of the training text; of text that is yet to be drawn, the most that it can have.
int64_t planned_sequences(const Recipe& recipe, const RunInputs& inputs);

}  // namespace halftone
