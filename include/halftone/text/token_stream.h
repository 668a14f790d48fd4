// Training text as sequences of one length.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "halftone/text/tokenizer.h"

namespace halftone {

class TokenSequences {
 public:
  // Cuts `tokens` into sequences of `length`, the remainder dropped. Throws Error(format) when
  // there is not one sequence.
  TokenSequences(std::vector<int32_t> tokens, int64_t length);

  int64_t count() const { return static_cast<int64_t>(tokens_.size()) / length_; }
  int64_t length() const { return length_; }
  std::span<const int32_t> sequence(int64_t i) const {
    return std::span(tokens_).subspan(i * length_, length_);
  }
  std::string sha256() const;  // of the tokens and the length

 private:
  std::vector<int32_t> tokens_;
  int64_t length_;
};

// Tokens of all documents of the files (text or gzipped text), each document followed by the
// tokenizer's end token, where it has one; a token file's tokens as they are. Of a file's documents
// the share is set as WikiText is (typography.h), evenly spread: of 0.5 every second one.
std::vector<int32_t> read_token_stream(const std::vector<std::string>& paths,
                                       const Tokenizer& tokenizer, double wikitext_share = 0);

// The same as sequences of `length`.
TokenSequences load_sequences(const std::vector<std::string>& paths, const Tokenizer& tokenizer,
                              int64_t length);

}  // namespace halftone
