// What a file or a directory is, as its headers say it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "halftone/eval/footprint.h"
#include "halftone/io/stored_tensors.h"

namespace halftone {

struct Inspection {
  StoredTensors stored;
  std::string format;              // "safetensors", "GGUF version 3", "Halftone checkpoint"
  std::string home;                // where its tokenizer is
  std::string architecture;        // in its own words; empty: it names none
  std::vector<int64_t> end_ids;    // that its configuration names
  std::string method, kind, step;  // of a checkpoint: of its run, what it is, when
};

// The tensors of a Hugging Face directory, a .safetensors, an index of several, a GGUF file, a
// checkpoint, or of a run's newest whole checkpoint, also of models that cannot be imported. Files
// are known by their content. Throws Error(format).
Inspection inspect_path(const std::string& path);

struct TokenizerFacts {
  std::string kind;  // "BPE, 49152 tokens"; empty: none
  std::vector<std::pair<int64_t, std::string>> end_tokens;
};
TokenizerFacts inspect_tokenizer(const Inspection& found);

struct ModelFacts {
  std::optional<Footprint> footprint;
  std::string obstacle;  // why there is none: what Halftone cannot import
};
ModelFacts inspect_model(const std::string& path, const Inspection& found);

}  // namespace halftone
