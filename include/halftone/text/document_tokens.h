// The documents of a text as tokens, kept in files for whoever asks again.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "halftone/text/token_file.h"
#include "halftone/text/tokenizer.h"
#include "halftone/text/typography.h"

namespace halftone {

// In memory, or in a token file that is mapped.
class DocumentTokens {
 public:
  DocumentTokens(std::vector<int32_t> tokens, std::vector<DocumentMark> marks)
      : tokens_(std::move(tokens)), marks_(std::move(marks)) {}
  explicit DocumentTokens(std::shared_ptr<const TokenFile> file) : file_(std::move(file)) {}

  int64_t size() const { return file_ ? file_->size() : static_cast<int64_t>(tokens_.size()); }
  const std::vector<DocumentMark>& marks() const { return file_ ? file_->documents() : marks_; }
  // Fills `out` with the ids from `begin` on.
  void read(int64_t begin, std::span<int32_t> out) const;

 private:
  std::vector<int32_t> tokens_;
  std::vector<DocumentMark> marks_;
  std::shared_ptr<const TokenFile> file_;
};

// Where token files of texts lie, as tokens-<16 hex>.tok: the start of a SHA-256 over all that
// decides their content. A file that is there is read; two that make the same one write the same.
struct TokenCache {
  std::string directory;  // empty: nowhere
  bool write = true;      // one that is missing
};

// Of a text (plain or gzipped): each document followed by the tokenizer's end token, where it has
// one and does not put it there itself; of a token file as they are. Documents are encoded by all
// threads. Throws Error(format) as read_text and TokenFile do, also for a damaged file of the
// cache; Error(recipe) for a typography other than as_is of a token file; Error(io).
std::shared_ptr<const DocumentTokens> read_document_tokens(const std::string& path,
                                                           const Tokenizer& tokenizer,
                                                           Typography typography = {},
                                                           const TokenCache& cache = {});

}  // namespace halftone
