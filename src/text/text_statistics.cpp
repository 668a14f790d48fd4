#include "halftone/text/text_statistics.h"

#include <algorithm>
#include <set>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/mapped_file.h"
#include "halftone/text/document_tokens.h"
#include "halftone/text/documents.h"
#include "utf8.h"

namespace halftone {
namespace {

constexpr size_t kLookedAt = 4096;  // bytes at the start of a file
constexpr size_t kLongestCharacter = 4;

bool begins_as_text(std::string_view start) {
  const size_t valid = utf8_valid_end(start, 0);
  // A character may be cut where the look ends.
  const bool utf8 = valid == start.size() ||
                    (start.size() == kLookedAt && start.size() - valid < kLongestCharacter);
  return utf8 && start.find('\0') == start.npos;
}

Lengths lengths_of(std::vector<int64_t> sizes) {
  if (sizes.empty()) return {};
  std::ranges::sort(sizes);
  return {sizes.front(), sizes[(sizes.size() - 1) / 2], sizes.back()};
}

int64_t characters_of(std::string_view text) {
  int64_t count = 0;
  for (size_t at = 0; at < text.size(); at += character_length(text, at)) ++count;
  return count;
}

bool has_wikitext_marks(std::string_view text) {
  return std::ranges::any_of(std::initializer_list<std::string_view>{" @-@ ", " @,@ ", " @.@ "},
                             [&](std::string_view mark) { return text.find(mark) != text.npos; });
}

// Counts documents, one after another.
class Counter {
 public:
  void add(std::string_view document) {
    out_.bytes += static_cast<int64_t>(document.size());
    out_.characters += characters_of(document);
    out_.wikitext += has_wikitext_marks(document);
    out_.duplicates += !hashes_.insert(document_hash(document)).second;
    sizes_.push_back(static_cast<int64_t>(document.size()));
  }
  DocumentStatistics result() {
    out_.lengths = lengths_of(std::move(sizes_));
    return out_;
  }

 private:
  DocumentStatistics out_;
  std::vector<int64_t> sizes_;
  std::set<uint64_t> hashes_;
};

Lengths token_lengths(const DocumentTokens& tokens) {
  std::vector<int64_t> sizes;
  uint64_t begin = 0;
  for (const DocumentMark& mark : tokens.marks()) {
    sizes.push_back(static_cast<int64_t>(mark.end - begin));
    begin = mark.end;
  }
  return lengths_of(std::move(sizes));
}

void add_tokens(const DocumentTokens& tokens, TextStatistics& out) {
  out.documents = static_cast<int64_t>(tokens.marks().size());
  out.tokens = tokens.size();
  out.token_lengths = token_lengths(tokens);
}

// The text of each document, without the tokens around it.
DocumentStatistics decoded_documents(const DocumentTokens& tokens, const Tokenizer& tokenizer) {
  Counter counter;
  std::vector<int32_t> ids;
  uint64_t begin = 0;
  for (const DocumentMark& mark : tokens.marks()) {
    ids.resize(mark.end - begin);
    tokens.read(static_cast<int64_t>(begin), ids);
    begin = mark.end;
    if (!ids.empty() && ids.back() == tokenizer.eos()) ids.pop_back();
    if (!ids.empty() && ids.front() == tokenizer.bos()) ids.erase(ids.begin());
    counter.add(tokenizer.decode_text(ids));
  }
  return counter.result();
}

TextStatistics token_file_statistics(const std::string& path, const Tokenizer* tokenizer) {
  TextStatistics out{.format = "token file", .digest = sha256_file(path)};
  if (!tokenizer) {
    const TokenFileHeader header = read_token_header(path);
    out.documents = header.documents;
    out.tokens = header.tokens;
    return out;
  }
  const auto tokens = read_document_tokens(path, *tokenizer);
  add_tokens(*tokens, out);
  out.text = decoded_documents(*tokens, *tokenizer);
  return out;
}

}  // namespace

bool is_text_file(const std::string& path) {
  const FileKind kind = file_kind(path);
  if (kind == FileKind::tokens || kind == FileKind::gzip) return true;
  if (kind != FileKind::other) return false;
  return begins_as_text(RegularFile(path).start(kLookedAt));
}

TextStatistics text_statistics(const std::string& path, const Tokenizer* tokenizer) {
  const FileKind kind = file_kind(path);
  if (kind == FileKind::tokens) return token_file_statistics(path, tokenizer);
  const std::string text = read_text(path);
  if (!begins_as_text(std::string_view(text).substr(0, kLookedAt)))
    throw_error(ErrorKind::format, "{}: found bytes of no text in it, UTF-8 expected", path);
  const std::vector<std::string_view> documents = split_documents(text);
  Counter counter;
  for (const std::string_view document : documents) counter.add(document);
  TextStatistics out{.format = kind == FileKind::gzip ? "gzipped text" : "text",
                     .digest = sha256_hex(text),
                     .documents = static_cast<int64_t>(documents.size()),
                     .text = counter.result()};
  if (tokenizer) add_tokens(*read_document_tokens(path, *tokenizer), out);
  return out;
}

}  // namespace halftone
