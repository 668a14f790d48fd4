#include "halftone/io/text_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "halftone/io/mapped_file.h"

namespace halftone {

std::string read_text_file(const std::string& path, uint64_t max_bytes) {
  const RegularFile file(path);
  const auto refuse_size = [&](uint64_t size) {
    throw_error(ErrorKind::format, "{}: holds {} bytes, at most {} expected", path, size,
                max_bytes);
  };
  if (file.size() > max_bytes) refuse_size(file.size());
  std::string text(file.size() + 1, '\0');  // one more byte shows whether the file grew
  size_t got = 0;
  while (got < text.size()) {
    const ssize_t n = ::read(file.descriptor(), text.data() + got, text.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_error(ErrorKind::format, "{}: reading failed: {}", path, std::strerror(errno));
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  if (got != file.size())
    throw_error(ErrorKind::format, "{}: was changed by another program while it was read", path);
  text.resize(got);
  return text;
}

}  // namespace halftone
