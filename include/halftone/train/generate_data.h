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

struct GeneratorVocabulary {
  std::vector<int32_t> first_tokens;  // the tokens that a sequence may start with (no special ones)
  int32_t end_token = -1;             // ends a sequence; -1: none
  std::vector<char> known;            // see SampleOptions
  // A text whose passages sequences begin with, see below; none where it is empty.
  std::vector<int32_t> prefixes;
};

// The tokenizer's, with its end token.
GeneratorVocabulary generator_vocabulary(const Tokenizer& tokenizer);

// Sequence number s of a run of the generator, for s in [begin, begin + count):
//   first token: without replacement, in an order drawn from the seed; its greedy prefix has J
//   tokens (the first included), J going round greedy_prefix[0] .. greedy_prefix[1]; then sampling
//   until the end token or `length` tokens. Where the vocabulary has a text of prefixes, the
//   sequence begins with a passage of it in place of all that: from a random place, of a random
//   length in prefix_tokens, cut at an end token. Each depends on (seed, s) alone, not on the batch
//   it is made in.
// Departure: ids are kept as sampled, where LLM-QAT decodes and tokenises the text again.
std::vector<std::vector<int32_t>> generate_sequences(Decoder& teacher,
                                                     const GeneratorVocabulary& vocabulary,
                                                     const GenerateSettings& settings,
                                                     int64_t length, int64_t begin, int64_t count);

}  // namespace halftone
