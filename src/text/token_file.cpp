#include "halftone/text/token_file.h"

#include <cstring>

#include "halftone/base/checked.h"
#include "halftone/base/error.h"
#include "halftone/io/mapped_file.h"
#include "halftone/io/sealed_file.h"

namespace halftone {
namespace {

constexpr std::string_view kMagic = "HTTOKENS";
constexpr uint32_t kUnsealed = 1, kSealed = 2;
constexpr size_t kVersionAt = 8, kWidthAt = 12, kHashAt = 16, kCountAt = 80, kHeader = 88;
constexpr size_t kHashLength = kCountAt - kHashAt;

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

// Bytes of the whole file, by its header; the header itself is checked.
uint64_t declared_bytes(const MappedFile& file, const Tokenizer& tokenizer) {
  const std::string& path = file.path();
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  if (!bytes.starts_with(kMagic))
    throw_error(ErrorKind::format, "{}: found '{}' at its start, '{}' of a token file expected",
                path, printable(bytes.substr(0, kMagic.size())), kMagic);
  if (file.size() < kHeader)
    throw_error(ErrorKind::format, "{}: {} bytes, a header of {} expected", path, file.size(),
                kHeader);
  const uint32_t version = value_at<uint32_t>(file.data() + kVersionAt);
  if (version != kUnsealed && version != kSealed)
    throw_error(ErrorKind::format, "{}: version: found {}, expected {} or {}", path, version,
                kUnsealed, kSealed);
  if (version == kSealed) check_seal(path);
  const uint32_t width = value_at<uint32_t>(file.data() + kWidthAt);
  if (width != 2 && width != 4)
    throw_error(ErrorKind::format, "{}: bytes of an id: found {}, expected 2 or 4", path, width);
  const std::string_view hash = bytes.substr(kHashAt, kHashLength);
  if (hash != tokenizer.hash())
    throw_error(ErrorKind::format, "{}: made by another tokenizer: found hash {}, expected {}",
                path, printable(hash), tokenizer.hash());
  const std::string what = path + ": number of ids";
  const uint64_t count = value_at<uint64_t>(file.data() + kCountAt);
  return checked_add(kHeader + (version == kSealed ? kSealBytes : 0),
                     checked_mul(count, width, what), what);
}

}  // namespace

void write_token_file(const std::string& path, const std::vector<int32_t>& tokens,
                      const Tokenizer& tokenizer) {
  const bool narrow = tokenizer.vocab_size() <= 65536;
  std::string bytes(kMagic);
  bytes.reserve(kHeader + tokens.size() * (narrow ? 2 : 4));
  append(bytes, kSealed);
  append(bytes, uint32_t{narrow ? 2u : 4u});
  bytes += tokenizer.hash();
  append(bytes, static_cast<uint64_t>(tokens.size()));
  for (const int32_t id : tokens) {
    require(id >= 0 && id < tokenizer.vocab_size(), "write_token_file: token {}, vocabulary {}", id,
            tokenizer.vocab_size());
    if (narrow)
      append(bytes, static_cast<uint16_t>(id));
    else
      append(bytes, static_cast<uint32_t>(id));
  }
  write_sealed_file(path, bytes);
}

std::vector<int32_t> read_token_file(const std::string& path, const Tokenizer& tokenizer) {
  const auto file = MappedFile::open(path);
  const uint64_t expected = declared_bytes(*file, tokenizer);
  const uint64_t count = value_at<uint64_t>(file->data() + kCountAt);
  if (file->size() != expected)
    throw_error(ErrorKind::format, "{}: {} bytes, expected {} for {} ids", path, file->size(),
                expected, count);
  const size_t width = value_at<uint32_t>(file->data() + kWidthAt);
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const uint8_t* at = file->data() + kHeader + i * width;
    const uint32_t id = width == 2 ? value_at<uint16_t>(at) : value_at<uint32_t>(at);
    if (id >= static_cast<uint64_t>(tokenizer.vocab_size()))
      throw_error(ErrorKind::format, "{}: id {} is {}, expected 0 .. {}", path, i, id,
                  tokenizer.vocab_size() - 1);
    tokens[i] = static_cast<int32_t>(id);
  }
  return tokens;
}

}  // namespace halftone
