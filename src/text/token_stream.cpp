#include "halftone/text/token_stream.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"

namespace halftone {
namespace {

constexpr int64_t kAtATime = int64_t{1} << 16;  // tokens of a part

}  // namespace

TokenStream::TokenStream(std::vector<int32_t> tokens) {
  const auto count = static_cast<int64_t>(tokens.size());
  append(std::make_shared<const DocumentTokens>(std::move(tokens), std::vector<DocumentMark>()), 0,
         count);
}

void TokenStream::append(std::shared_ptr<const DocumentTokens> from, int64_t begin, int64_t count) {
  require(begin >= 0 && count >= 0 && begin + count <= from->size(),
          "TokenStream: {} tokens from {} on of {}", count, begin, from->size());
  if (count == 0) return;
  if (!stretches_.empty()) {
    Stretch& last = stretches_.back();
    if (last.from == from && last.begin + last.count == begin) {
      last.count += count;
      size_ += count;
      return;
    }
  }
  stretches_.push_back({std::move(from), begin, size_, count});
  size_ += count;
}

void TokenStream::append(const TokenStream& more) {
  for (const Stretch& stretch : more.stretches_) append(stretch.from, stretch.begin, stretch.count);
}

void TokenStream::read(int64_t begin, std::span<int32_t> out) const {
  require(begin >= 0 && begin + static_cast<int64_t>(out.size()) <= size_,
          "TokenStream: {} tokens from {} on, it has {}", out.size(), begin, size_);
  if (out.empty()) return;
  // The last stretch that begins there or before.
  auto at = std::prev(std::ranges::upper_bound(stretches_, begin, {}, &Stretch::place));
  for (; !out.empty(); ++at) {
    const int64_t skipped = begin - at->place;
    const auto count =
        static_cast<size_t>(std::min(at->count - skipped, static_cast<int64_t>(out.size())));
    at->from->read(at->begin + skipped, out.first(count));
    out = out.subspan(count);
    begin += static_cast<int64_t>(count);
  }
}

std::vector<int32_t> TokenStream::all() const {
  std::vector<int32_t> out(static_cast<size_t>(size_));
  read(0, out);
  return out;
}

void TokenStream::for_each_part(const std::function<void(std::span<const int32_t>)>& visit) const {
  std::vector<int32_t> part;
  for (int64_t begin = 0; begin < size_; begin += kAtATime) {
    part.resize(static_cast<size_t>(std::min(size_ - begin, kAtATime)));
    read(begin, part);
    visit(part);
  }
}

TokenSequences::TokenSequences(TokenStream tokens, int64_t length)
    : tokens_(std::move(tokens)), length_(length) {
  require(length > 0, "TokenSequences: length {}", length);
  if (count() == 0)
    throw_error(
        ErrorKind::format,
        "data: found {} tokens of text, at least one sequence of max_seq_length = {} expected",
        tokens_.size(), length);
}

std::vector<int32_t> TokenSequences::sequence(int64_t i) const {
  std::vector<int32_t> out(static_cast<size_t>(length_));
  tokens_.read(i * length_, out);
  return out;
}

std::string TokenSequences::sha256() const {
  Sha256 digest;
  digest.update(&length_, sizeof length_);
  tokens_.for_each_part(
      [&](std::span<const int32_t> part) { digest.update(part.data(), part.size_bytes()); });
  return digest.hex();
}

TokenStream read_token_stream(const std::vector<std::string>& paths, const Tokenizer& tokenizer,
                              const TokenCache& cache) {
  TokenStream out;
  for (const std::string& path : paths) {
    const auto tokens = read_document_tokens(path, tokenizer, Typography::as_is, cache);
    out.append(tokens, 0, tokens->size());
  }
  return out;
}

}  // namespace halftone
