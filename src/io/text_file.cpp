#include "halftone/io/text_file.h"

#include "halftone/io/mapped_file.h"
#include "halftone/io/packed_file.h"

namespace halftone {

std::string read_text_file(const std::string& path, uint64_t max_bytes) {
  const auto refuse_size = [&](uint64_t size) {
    throw_error(ErrorKind::format, "{}: holds {} bytes, at most {} expected", path, size,
                max_bytes);
  };
  if (auto inside = packed_member(path)) {
    if (inside->size() > max_bytes) refuse_size(inside->size());
    return *std::move(inside);
  }
  const RegularFile file(path);
  if (file.size() > max_bytes) refuse_size(file.size());
  std::string text(file.size() + 1, '\0');  // one more byte shows whether the file grew
  const size_t got = file.read(0, text.data(), text.size());
  if (got != file.size())
    throw_error(ErrorKind::format, "{}: was changed by another program while it was read", path);
  text.resize(got);
  return text;
}

}  // namespace halftone
