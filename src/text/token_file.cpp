#include "halftone/text/token_file.h"

#include <algorithm>
#include <cstring>

#include "halftone/base/checked.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/sealed_file.h"

namespace halftone {
namespace {

constexpr std::string_view kMagic = "HTTOKENS";
constexpr uint32_t kUnsealed = 1, kSealed = 2, kMarked = 3;
constexpr size_t kVersionAt = 8, kWidthAt = 12, kHashAt = 16, kCountAt = 80, kHeader = 88;
constexpr size_t kHashLength = kCountAt - kHashAt;
constexpr size_t kDocumentsAt = kHeader, kMarkedHeader = kHeader + sizeof(uint64_t);
constexpr size_t kMarkBytes = 2 * sizeof(uint64_t);
constexpr int64_t kAtATime = int64_t{1} << 16;  // ids looked at together

template <class T>
void append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T value_at(const uint8_t* data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

struct Header {
  uint32_t version = 0, width = 0;
  std::string hash;  // the tokenizer's
  uint64_t ids = 0, documents = 0;
  size_t ids_at = 0;
};

// Of a whole file: its seal is good, and it has the length that the header says.
Header checked_header(const MappedFile& file) {
  const std::string& path = file.path();
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  if (!bytes.starts_with(kMagic))
    throw_error(ErrorKind::format, "{}: found '{}' at its start, '{}' of a token file expected",
                path, printable(bytes.substr(0, kMagic.size())), kMagic);
  const auto expect_header = [&](size_t length) {
    if (file.size() < length)
      throw_error(ErrorKind::format, "{}: {} bytes, a header of {} expected", path, file.size(),
                  length);
  };
  expect_header(kHeader);
  Header h{.version = value_at<uint32_t>(file.data() + kVersionAt),
           .width = value_at<uint32_t>(file.data() + kWidthAt),
           .hash = std::string(bytes.substr(kHashAt, kHashLength)),
           .ids = value_at<uint64_t>(file.data() + kCountAt),
           .ids_at = kHeader};
  if (h.version < kUnsealed || h.version > kMarked)
    throw_error(ErrorKind::format, "{}: version: found {}, expected {} .. {}", path, h.version,
                kUnsealed, kMarked);
  if (h.version != kUnsealed) check_seal(path);
  if (h.width != 2 && h.width != 4)
    throw_error(ErrorKind::format, "{}: bytes of an id: found {}, expected 2 or 4", path, h.width);
  if (h.version == kMarked) {
    expect_header(kMarkedHeader);
    h.documents = value_at<uint64_t>(file.data() + kDocumentsAt);
    h.ids_at = kMarkedHeader;
  }
  const std::string ids = path + ": number of ids", documents = path + ": number of documents";
  uint64_t expected = checked_add(h.ids_at + (h.version == kUnsealed ? 0 : kSealBytes),
                                  checked_mul(h.ids, h.width, ids), ids);
  expected = checked_add(expected, checked_mul(h.documents, kMarkBytes, documents), documents);
  if (file.size() != expected)
    throw_error(ErrorKind::format, "{}: {} bytes, expected {} for {} ids and {} documents", path,
                file.size(), expected, h.ids, h.documents);
  return h;
}

}  // namespace

uint64_t document_hash(std::string_view bytes) {
  const std::string digits = sha256_hex(bytes).substr(0, 16);
  uint64_t hash = 0;
  for (size_t i = 0; i < 8; ++i)
    hash |= std::stoull(digits.substr(2 * i, 2), nullptr, 16) << (8 * i);
  return hash;
}

std::vector<DocumentMark> marks_at_ends(std::span<const int32_t> ids, std::optional<int32_t> end) {
  std::vector<DocumentMark> out;
  for (size_t begin = 0, at = 0; at < ids.size(); ++at) {
    if (ids[at] != end && at + 1 < ids.size()) continue;
    const auto bytes = std::as_bytes(ids.subspan(begin, at + 1 - begin));
    begin = at + 1;
    out.push_back(
        {begin, document_hash({reinterpret_cast<const char*>(bytes.data()), bytes.size()})});
  }
  return out;
}

void write_token_file(const std::string& path, std::span<const int32_t> tokens,
                      const Tokenizer& tokenizer, std::span<const DocumentMark> documents) {
  const bool narrow = tokenizer.vocab_size() <= 65536;
  std::string bytes(kMagic);
  bytes.reserve(kMarkedHeader + tokens.size() * (narrow ? 2 : 4) + documents.size() * kMarkBytes);
  append(bytes, documents.empty() ? kSealed : kMarked);
  append(bytes, uint32_t{narrow ? 2u : 4u});
  bytes += tokenizer.hash();
  append(bytes, static_cast<uint64_t>(tokens.size()));
  if (!documents.empty()) append(bytes, static_cast<uint64_t>(documents.size()));
  for (const int32_t id : tokens) {
    require(id >= 0 && id < tokenizer.vocab_size(), "write_token_file: token {}, vocabulary {}", id,
            tokenizer.vocab_size());
    if (narrow)
      append(bytes, static_cast<uint16_t>(id));
    else
      append(bytes, static_cast<uint32_t>(id));
  }
  for (const DocumentMark& mark : documents) {
    append(bytes, mark.end);
    append(bytes, mark.hash);
  }
  write_sealed_file(path, bytes);
}

TokenFile::TokenFile(const std::string& path, const Tokenizer& tokenizer)
    : file_(MappedFile::open(path)) {
  const Header header = checked_header(*file_);
  if (header.hash != tokenizer.hash())
    throw_error(ErrorKind::format, "{}: made by another tokenizer: found hash {}, expected {}",
                path, printable(header.hash), tokenizer.hash());
  count_ = static_cast<int64_t>(header.ids);
  width_ = header.width;
  ids_at_ = header.ids_at;
  std::vector<int32_t> ids(static_cast<size_t>(std::min(count_, kAtATime)));
  for (int64_t begin = 0; begin < count_; begin += kAtATime) {
    ids.resize(static_cast<size_t>(std::min(count_ - begin, kAtATime)));
    read(begin, ids);
    for (size_t i = 0; i < ids.size(); ++i)
      if (ids[i] < 0 || ids[i] >= tokenizer.vocab_size())
        throw_error(ErrorKind::format, "{}: id {} is {}, expected 0 .. {}", path,
                    begin + static_cast<int64_t>(i), static_cast<uint32_t>(ids[i]),
                    tokenizer.vocab_size() - 1);
  }
  tells_documents_ = header.version == kMarked;
  end_ = tokenizer.eos();
  documents_.resize(header.documents);
  if (tells_documents_) read_documents();
}

const std::vector<DocumentMark>& TokenFile::documents() const {
  std::call_once(asked_, [&] {
    if (tells_documents_) return;
    std::vector<int32_t> ids(static_cast<size_t>(count_));
    read(0, ids);
    documents_ = marks_at_ends(ids, end_);
  });
  return documents_;
}

void TokenFile::read_documents() {
  const uint8_t* at = file_->data() + ids_at_ + static_cast<size_t>(count_) * width_;
  uint64_t before = 0;
  for (DocumentMark& mark : documents_) {
    mark = {value_at<uint64_t>(at), value_at<uint64_t>(at + sizeof(uint64_t))};
    at += kMarkBytes;
    if (mark.end < before || mark.end > static_cast<uint64_t>(count_))
      throw_error(ErrorKind::format, "{}: end of document {}: found {}, expected {} .. {}",
                  file_->path(), &mark - documents_.data(), mark.end, before, count_);
    before = mark.end;
  }
  if (before != static_cast<uint64_t>(count_))
    throw_error(ErrorKind::format, "{}: end of the last document: found {}, expected {}",
                file_->path(), before, count_);
}

std::shared_ptr<const TokenFile> TokenFile::open(const std::string& path,
                                                 const Tokenizer& tokenizer) {
  return std::shared_ptr<const TokenFile>(new TokenFile(path, tokenizer));
}

void TokenFile::read(int64_t begin, std::span<int32_t> out) const {
  require(begin >= 0 && begin + static_cast<int64_t>(out.size()) <= count_,
          "TokenFile: {} ids from {} on, it has {}", out.size(), begin, count_);
  const uint8_t* at = file_->data() + ids_at_ + static_cast<size_t>(begin) * width_;
  for (int32_t& id : out) {
    id = width_ == 2 ? value_at<uint16_t>(at) : static_cast<int32_t>(value_at<uint32_t>(at));
    at += width_;
  }
}

std::vector<int32_t> read_token_file(const std::string& path, const Tokenizer& tokenizer) {
  const auto file = TokenFile::open(path, tokenizer);
  std::vector<int32_t> out(static_cast<size_t>(file->size()));
  file->read(0, out);
  return out;
}

TokenFileHeader read_token_header(const std::string& path) {
  const Header h = checked_header(*MappedFile::open(path));
  TokenFileHeader out{.tokenizer_hash = h.hash, .tokens = static_cast<int64_t>(h.ids)};
  if (h.version == kMarked) out.documents = static_cast<int64_t>(h.documents);
  return out;
}

}  // namespace halftone
