// BPE by scores, as in sentencepiece models (Kudo and Richardson, 2018) of the Llama 1 and 2
// family: spaces are written as U+2581, and of all neighbours that form a token the pair with the
// highest score is joined, the leftmost first. Characters without a token become byte tokens, or
// the unknown token where the vocabulary has no bytes. O(n log n).
//
// Tokens of the type unused stand for nothing (converters fill the rows of a model up with them).
//
// decode(encode(x)) is x with the space of `add_space_prefix` in front, for x of UTF-8 without
// U+2581 and a vocabulary with byte tokens. Bytes that are not UTF-8 become byte tokens, too.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "halftone/text/bpe.h"

namespace halftone {

// As GGUF numbers them.
enum class SpmType : int64_t { normal = 1, unknown, control, user_defined, unused, byte };

struct SpmDefinition {
  std::string source;  // the file, for messages
  std::vector<std::string> tokens;
  std::vector<double> scores;
  std::vector<SpmType> types;
  bool add_space_prefix = true;
  std::optional<int32_t> bos;   // put in front of every text
  std::vector<int32_t> behind;  // put behind every text
  std::optional<int32_t> eos;
};

// Tokens that are found as they are written: control tokens, the unknown token and words of the
// model's maker.
std::vector<AddedToken> added_tokens(const std::vector<std::string>& tokens,
                                     const std::vector<SpmType>& types);

// Throws Error(format) for lists of unequal length, repeated tokens, scores that are not finite,
// malformed byte tokens and a vocabulary that has neither all bytes nor an unknown token.
std::unique_ptr<Tokenizer> make_spm(SpmDefinition definition);

}  // namespace halftone
