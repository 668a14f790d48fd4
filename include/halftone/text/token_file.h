// .tok files: token ids, and the tokenizer that they belong to.
//
// Layout, little-endian:
//    0  "HTTOKENS"    8  version, u32        12  bytes of an id, u32 = 2 or 4
//   16  the tokenizer's hash, 64 characters  80  number of ids, u64
//   88  the ids, u16 or u32
// Version 2 ends with a seal (io/sealed_file.h); version 1, which is only read, has none. Version 3
// is sealed too, and tells its documents:
//   88  number of documents, u64             96  the ids, u16 or u32
//       then of each document its mark: end, u64, and hash, u64
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "halftone/io/mapped_file.h"
#include "halftone/text/tokenizer.h"

namespace halftone {

// Of a document among the tokens of many.
struct DocumentMark {
  uint64_t end = 0;   // the number of tokens up to its last one
  uint64_t hash = 0;  // the first 8 bytes of the SHA-256 of its text, or where that is not known of
                      // its ids, as a little-endian number
  bool operator==(const DocumentMark&) const = default;
};

uint64_t document_hash(std::string_view bytes);

// The documents of tokens that nobody marked: each ends with an end token, the last one anywhere.
std::vector<DocumentMark> marks_at_ends(std::span<const int32_t> ids, std::optional<int32_t> end);

// Durably (io/atomic_file.h): version 3 with marks, version 2 without. Ids take 2 bytes where the
// vocabulary fits. Throws Error(io); std::invalid_argument for an id outside the vocabulary.
void write_token_file(const std::string& path, std::span<const int32_t> tokens,
                      const Tokenizer& tokenizer, std::span<const DocumentMark> documents = {});

// One that is mapped: its ids are read from the page cache, which all runs share.
class TokenFile {
 public:
  // Throws Error(format) naming the file: not such a file, damaged, another length than it says,
  // another tokenizer's, an id outside the vocabulary, or documents that do not follow each other.
  static std::shared_ptr<const TokenFile> open(const std::string& path, const Tokenizer& tokenizer);

  int64_t size() const { return count_; }  // ids
  // Fills `out` with the ids from `begin` on.
  void read(int64_t begin, std::span<int32_t> out) const;
  // Those that the file tells, else those of marks_at_ends, made when they are first asked for.
  const std::vector<DocumentMark>& documents() const;

 private:
  TokenFile(const std::string& path, const Tokenizer& tokenizer);
  void read_documents();

  std::shared_ptr<const MappedFile> file_;
  int64_t count_ = 0;
  size_t width_ = 0, ids_at_ = 0;
  bool tells_documents_ = false;
  std::optional<int32_t> end_;  // the tokenizer's
  mutable std::once_flag asked_;
  mutable std::vector<DocumentMark> documents_;
};

// All its ids.
std::vector<int32_t> read_token_file(const std::string& path, const Tokenizer& tokenizer);

// What a token file says of itself, to whoever has not its tokenizer. Throws Error(format) for one
// that is damaged.
struct TokenFileHeader {
  std::string tokenizer_hash;
  int64_t tokens = 0;
  std::optional<int64_t> documents;  // of version 3
};
TokenFileHeader read_token_header(const std::string& path);

}  // namespace halftone
