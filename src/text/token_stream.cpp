#include "halftone/text/token_stream.h"

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/file_kind.h"
#include "halftone/text/documents.h"
#include "halftone/text/token_file.h"
#include "halftone/text/typography.h"

namespace halftone {

TokenSequences::TokenSequences(std::vector<int32_t> tokens, int64_t length)
    : tokens_(std::move(tokens)), length_(length) {
  require(length > 0, "TokenSequences: length {}", length);
  if (count() == 0)
    throw_error(
        ErrorKind::format,
        "data: found {} tokens of text, at least one sequence of max_seq_length = {} expected",
        tokens_.size(), length);
}

std::string TokenSequences::sha256() const {
  Sha256 digest;
  digest.update(&length_, sizeof length_);
  digest.update(tokens_.data(), tokens_.size() * sizeof tokens_[0]);
  return digest.hex();
}

namespace {

// Whether the tokenizer itself puts its end token behind a text.
bool ends_texts(const Tokenizer& tokenizer) {
  const std::vector<int32_t> ids = tokenizer.encode("");
  return ids.size() > (tokenizer.bos() ? 1 : 0) && ids.back() == tokenizer.eos();
}

}  // namespace

std::vector<int32_t> read_token_stream(const std::vector<std::string>& paths,
                                       const Tokenizer& tokenizer, double wikitext_share) {
  std::vector<int32_t> tokens;
  const bool adds_end = tokenizer.eos() && !ends_texts(tokenizer);
  for (const std::string& path : paths) {
    if (file_kind(path) == FileKind::tokens) {
      const std::vector<int32_t> ids = read_token_file(path, tokenizer);
      tokens.insert(tokens.end(), ids.begin(), ids.end());
      continue;
    }
    const std::string text = read_text(path);
    double due = 0;  // documents that are to be set, less those that were
    for (const std::string_view document : split_documents(text)) {
      due += wikitext_share;
      const bool set = due >= 1;
      if (set) due -= 1;
      const std::vector<int32_t> ids =
          tokenizer.encode(set ? wikitext_typography(document) : std::string(document));
      tokens.insert(tokens.end(), ids.begin(), ids.end());
      if (adds_end) tokens.push_back(*tokenizer.eos());
    }
  }
  return tokens;
}

TokenSequences load_sequences(const std::vector<std::string>& paths, const Tokenizer& tokenizer,
                              int64_t length) {
  return TokenSequences(read_token_stream(paths, tokenizer), length);
}

}  // namespace halftone
