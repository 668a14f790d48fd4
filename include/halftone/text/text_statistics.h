// What a text is made of, before a model learns from it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "halftone/text/tokenizer.h"

namespace halftone {

// A length of the documents, sorted: the first, the middle one (the lower of two), the last.
struct Lengths {
  int64_t shortest = 0, median = 0, longest = 0;
};

// What there is to know only of the documents' bytes; of a token file they take its tokenizer.
struct DocumentStatistics {
  int64_t bytes = 0, characters = 0;  // separators left out; what is no UTF-8 counts byte by byte
  Lengths lengths;                    // bytes
  int64_t wikitext = 0;    // documents with a mark of WikiText's: " @-@ ", " @,@ " or " @.@ "
  int64_t duplicates = 0;  // documents that stood there before, to the byte
};

struct TextStatistics {
  std::string format;                // "text", "gzipped text", "token file"
  std::string digest;                // SHA-256 of the text, unpacked; of a token file as it lies
  std::optional<int64_t> documents;  // a token file may not tell
  std::optional<DocumentStatistics> text;
  std::optional<int64_t> tokens;  // end tokens included; with a tokenizer, or of a token file
  std::optional<Lengths> token_lengths;
};

// Whether the file is a text or a token file: gzipped, a token file, or begins as UTF-8 text does,
// without zero bytes.
bool is_text_file(const std::string& path);

// Of a text (.txt, gzipped or not) or a token file, whose documents' texts are decoded from it.
// Throws Error(format) as read_document_tokens.
TextStatistics text_statistics(const std::string& path, const Tokenizer* tokenizer);

}  // namespace halftone
