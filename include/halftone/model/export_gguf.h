// A model as one GGUF file that llama.cpp loads: weights, tokenizer and chat templates.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "halftone/io/atomic_file.h"
#include "halftone/io/gguf_quants.h"
#include "halftone/model/companions.h"
#include "halftone/model/load.h"

namespace halftone {

struct GgufExportOptions {
  // The type of the blocks' linears; null: of each the smallest that holds it exactly, else F16.
  const GgmlType* linears = nullptr;
  bool q8_0_embedding = false;  // embedding and head in Q8_0, where rows are of whole blocks
  std::string name;             // general.name
  std::string method;           // halftone.method; empty: not written
};

struct GgufExportSummary {
  int64_t tensors = 0;
  std::map<std::string, int64_t> linears;  // how many are of each type
  int64_t changed = 0;                     // numbers of matrices that F16 rounded
  double bits = 0;                         // per weight of the blocks' linears
  std::vector<std::string> notes;          // what a user should know
};

// The types that linears can be written in: those of quantize_exactly by size, then F16.
const std::vector<const GgmlType*>& gguf_linear_types();

// Matrices are those that the model has when it is packed (LinearLike::stored). Norms and biases
// are F32; a gain is written with the offset that the family leaves out. Throws Error(recipe),
// before anything is written, for a family, configuration (config.h) or tokenizer (gguf_tokens.h)
// that llama.cpp does not have, for a linear that the type asked for does not hold and one that is
// no matrix; Error(numerical) for numbers beyond F16.
GgufExportSummary export_gguf(LoadedModel& model, const Companions& companions,
                              const GgufExportOptions& options, const std::string& path,
                              const WrittenCheck& check = {});

}  // namespace halftone
