// Training text from the teacher itself: the LLM-QAT generator (arXiv 2305.17888; methods 7.6).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "halftone/base/rng.h"
#include "halftone/nn/decoder.h"
#include "halftone/text/data_settings.h"
#include "halftone/text/tokenizer.h"

namespace halftone {

// Logits (V of them) of ids without a token become minus infinity, so that none is drawn: models
// have more rows than their tokenizer has tokens. `known`: by id; none is known beyond its end, all
// are where it is empty.
void forbid_unknown(float* logits, int64_t vocabulary, const std::vector<char>& known);

// One of the `top_k` largest logits (0: of all) with probability softmax(logits / temperature);
// temperature 0 takes the largest. Logits of minus infinity are not drawn.
int32_t sample_token(const float* logits, int64_t vocabulary, int64_t top_k, double temperature,
                     Rng& rng);

struct GeneratorVocabulary {
  std::vector<int32_t> first_tokens;  // the tokens that a sequence may start with (no special ones)
  int32_t end_token = -1;             // ends a sequence; -1: none
  std::vector<char> known;            // see forbid_unknown
};

// The tokenizer's, with its end token.
GeneratorVocabulary generator_vocabulary(const Tokenizer& tokenizer);

// Sequence number s of a run of the generator, for s in [begin, begin + count):
//   first token: without replacement, in an order drawn from the seed; its greedy prefix has J
//   tokens (the first included), J going round greedy_prefix[0] .. greedy_prefix[1]; then sampling
//   until the end token or `length` tokens. Each depends on (seed, s) alone, not on the batch it is
//   made in.
// Departure: ids are kept as sampled, where LLM-QAT decodes and tokenises the text again.
std::vector<std::vector<int32_t>> generate_sequences(Decoder& teacher,
                                                     const GeneratorVocabulary& vocabulary,
                                                     const GenerateSettings& settings,
                                                     int64_t length, int64_t begin, int64_t count);

}  // namespace halftone
