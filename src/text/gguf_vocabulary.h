// A tokenizer as the lists of a GGUF.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "halftone/text/bpe.h"
#include "halftone/text/spm.h"
#include "loaders.h"

namespace halftone {

// tokenizer.ggml.*, as llama.cpp names it.
struct GgufVocabulary {
  std::string model, pre;  // gpt2 with its pre-tokenizer, or llama with "default"
  std::vector<std::string> tokens;
  std::vector<SpmType> types;
  std::vector<float> scores;        // llama
  std::vector<std::string> merges;  // gpt2: two tokens with a space between
  bool add_space_prefix = false;    // llama
  std::optional<int32_t> unknown;   // llama
  std::vector<std::string> notes;   // what the lists do not say
};

// Throws Error(recipe), naming the source, for a tokenizer that llama.cpp does not have: another
// pre-tokenizer or normalizer, or merges that follow from no scores.
GgufVocabulary gguf_vocabulary(const BpeDefinition& definition);
GgufVocabulary gguf_vocabulary(const SpmDefinition& definition);

// Scores with which BPE by scores makes what the merges make by ranks: of a token minus the rank of
// the first merge that makes it. Throws Error(recipe) where there are none.
std::vector<float> scores_of_merges(const BpeDefinition& definition);

}  // namespace halftone
