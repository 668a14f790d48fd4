#include "halftone/text/document_tokens.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/base/threads.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/file_kind.h"
#include "halftone/text/documents.h"

namespace halftone {
namespace {

constexpr int kFormat = 1;  // of what the key stands for

// Whether the tokenizer itself puts its end token behind a text.
bool ends_texts(const Tokenizer& tokenizer) {
  const std::vector<int32_t> ids = tokenizer.encode("");
  return ids.size() > (tokenizer.bos() ? 1 : 0) && ids.back() == tokenizer.eos();
}

DocumentTokens encode_documents(const std::string& path, const Tokenizer& tokenizer,
                                Typography typography) {
  const std::string text = read_text(path);
  const std::vector<std::string_view> documents = split_documents(text);
  const bool adds_end = tokenizer.eos() && !ends_texts(tokenizer);
  const auto count = static_cast<int64_t>(documents.size());
  std::vector<std::vector<int32_t>> ids(documents.size());
  std::vector<DocumentMark> marks(documents.size());
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t d = begin; d < end; ++d) {
      ids[d] =
          tokenizer.encode(typography == Typography::wikitext ? wikitext_typography(documents[d])
                                                              : std::string(documents[d]));
      if (adds_end) ids[d].push_back(*tokenizer.eos());
      marks[d].hash = document_hash(documents[d]);
    }
  });
  std::vector<int32_t> tokens;
  for (size_t d = 0; d < ids.size(); ++d) {
    tokens.insert(tokens.end(), ids[d].begin(), ids[d].end());
    ids[d] = {};
    marks[d].end = tokens.size();
  }
  return {std::move(tokens), std::move(marks)};
}

std::string cache_file(const std::string& path, const Tokenizer& tokenizer, Typography typography,
                       const TokenCache& cache) {
  const std::string key = sha256_hex(fmt::format("{} {} {} {} {}", kFormat, tokenizer.hash(),
                                                 tokenizer.eos().value_or(-1), sha256_file(path),
                                                 typography_name(typography)));
  return fmt::format("{}/tokens-{}.tok", cache.directory, key.substr(0, 16));
}

}  // namespace

void DocumentTokens::read(int64_t begin, std::span<int32_t> out) const {
  if (file_) return file_->read(begin, out);
  require(begin >= 0 && begin + static_cast<int64_t>(out.size()) <= size(),
          "DocumentTokens: {} ids from {} on, there are {}", out.size(), begin, size());
  std::copy_n(tokens_.begin() + begin, out.size(), out.begin());
}

std::shared_ptr<const DocumentTokens> read_document_tokens(const std::string& path,
                                                           const Tokenizer& tokenizer,
                                                           Typography typography,
                                                           const TokenCache& cache) {
  const auto mapped = [&](const std::string& file) {
    return std::make_shared<const DocumentTokens>(TokenFile::open(file, tokenizer));
  };
  if (file_kind(path) == FileKind::tokens) {
    if (typography != Typography::as_is)
      throw_error(ErrorKind::recipe,
                  "{}: is a token file: found typography \"{}\" for it, \"{}\" expected", path,
                  typography_name(typography), typography_name(Typography::as_is));
    return mapped(path);
  }
  const auto encoded = [&] { return encode_documents(path, tokenizer, typography); };
  if (cache.directory.empty()) return std::make_shared<const DocumentTokens>(encoded());
  const std::string file = cache_file(path, tokenizer, typography, cache);
  if (exists_at(file)) return mapped(file);
  DocumentTokens made = encoded();
  if (!cache.write || made.marks().empty())
    return std::make_shared<const DocumentTokens>(std::move(made));
  std::vector<int32_t> tokens(static_cast<size_t>(made.size()));
  made.read(0, tokens);
  make_directories(cache.directory);
  write_token_file(file, tokens, tokenizer, made.marks());
  return mapped(file);
}

}  // namespace halftone
