// Training text as a stream of tokens, and as sequences of one length.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "halftone/text/document_tokens.h"
#include "halftone/text/tokenizer.h"

namespace halftone {

// Stretches of tokens one after another, which stay where they are: in memory, or in mapped files.
class TokenStream {
 public:
  TokenStream() = default;
  explicit TokenStream(std::vector<int32_t> tokens);

  // `count` tokens of `from`, from `begin` on.
  void append(std::shared_ptr<const DocumentTokens> from, int64_t begin, int64_t count);
  void append(const TokenStream& more);

  int64_t size() const { return size_; }
  // Fills `out` with the tokens from `begin` on.
  void read(int64_t begin, std::span<int32_t> out) const;
  std::vector<int32_t> all() const;
  // Calls visit(tokens) for parts of the stream in their order.
  void for_each_part(const std::function<void(std::span<const int32_t>)>& visit) const;

 private:
  struct Stretch {
    std::shared_ptr<const DocumentTokens> from;
    int64_t begin = 0;  // in `from`
    int64_t place = 0;  // in the stream
    int64_t count = 0;
  };
  std::vector<Stretch> stretches_;
  int64_t size_ = 0;
};

class TokenSequences {
 public:
  // Cuts `tokens` into sequences of `length`, the remainder dropped. Throws Error(format) when
  // there is not one sequence.
  TokenSequences(TokenStream tokens, int64_t length);
  TokenSequences(std::vector<int32_t> tokens, int64_t length)
      : TokenSequences(TokenStream(std::move(tokens)), length) {}

  int64_t count() const { return tokens_.size() / length_; }
  int64_t length() const { return length_; }
  std::vector<int32_t> sequence(int64_t i) const;
  std::string sha256() const;  // of the tokens and the length

 private:
  TokenStream tokens_;
  int64_t length_;
};

// Tokens of all documents of the files, as read_document_tokens has them.
TokenStream read_token_stream(const std::vector<std::string>& paths, const Tokenizer& tokenizer,
                              const TokenCache& cache = {});

}  // namespace halftone
