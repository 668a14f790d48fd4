#include "halftone/text/token_file.h"

#include <cstring>

#include "halftone/base/checked.h"
#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/mapped_file.h"

namespace halftone {
namespace {

constexpr std::string_view kMagic = "HTTOKEN1";
constexpr size_t kHashLength = 64;
constexpr size_t kHeader = kMagic.size() + kHashLength + sizeof(uint64_t);

}  // namespace

void write_token_file(const std::string& path, const std::vector<int32_t>& tokens, const Tokenizer& tokenizer) {
  std::string bytes(kMagic);
  bytes += tokenizer.hash();
  const uint64_t count = tokens.size();
  bytes.append(reinterpret_cast<const char*>(&count), sizeof count);
  bytes.append(reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof tokens[0]);
  write_text_durably(path, bytes);
}

std::vector<int32_t> read_token_file(const std::string& path, const Tokenizer& tokenizer) {
  const auto file = MappedFile::open(path);
  const char* data = reinterpret_cast<const char*>(file->data());
  if (file->size() < kHeader || std::string_view(data, kMagic.size()) != kMagic)
    throw_error(ErrorKind::format, "{}: not a token file: '{}' expected at its start", path, kMagic);
  const std::string_view hash(data + kMagic.size(), kHashLength);
  if (hash != tokenizer.hash())
    throw_error(ErrorKind::format, "{}: made by another tokenizer: hash {}, expected {}", path, printable(hash), tokenizer.hash());
  uint64_t count = 0;
  std::memcpy(&count, data + kMagic.size() + kHashLength, sizeof count);
  const uint64_t expected = checked_add(kHeader, checked_mul(count, sizeof(int32_t), path + ": count"), path + ": count");
  if (file->size() != expected) throw_error(ErrorKind::format, "{}: {} bytes, expected {} for {} tokens", path, file->size(), expected, count);
  std::vector<int32_t> tokens(count);
  std::memcpy(tokens.data(), data + kHeader, count * sizeof(int32_t));
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= tokenizer.vocab_size())
      throw_error(ErrorKind::format, "{}: token {} is {}, expected 0 .. {}", path, i, tokens[i], tokenizer.vocab_size() - 1);
  return tokens;
}

}  // namespace halftone
