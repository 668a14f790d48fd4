#include "halftone/base/error.h"

#include <cerrno>

namespace halftone {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::recipe:
      return 2;
    case ErrorKind::device:
      return 2;
    case ErrorKind::format:
      return 3;
    case ErrorKind::io:
      return 4;
    case ErrorKind::memory:
      return 5;
    case ErrorKind::numerical:
      return 6;
    case ErrorKind::checkpoint:
      return 8;
  }
  return 1;
}

ErrorKind read_failure(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case EACCES:
    case EPERM:
    case ENXIO:
    case EINVAL:
      return ErrorKind::format;
    default:
      return ErrorKind::io;
  }
}

std::string printable(std::string_view text) {
  std::string out;
  for (unsigned char c : text.substr(0, 120)) {
    if (c < 0x20 || c == 0x7f)
      out += fmt::format("\\x{:02x}", c);
    else
      out += static_cast<char>(c);
  }
  if (text.size() > 120) out += "...";
  return out;
}

}  // namespace halftone
