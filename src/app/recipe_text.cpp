// toml++ 3.3.0 recurses as deep as the text nests, hence the limits here.
#include "app/recipe_text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "halftone/base/uninterrupted.h"
#include "recipe_overrides.h"
#include "recipe_sections.h"

namespace halftone {
namespace {

constexpr off_t kMostBytes = 1 << 20;

std::string read_text(const std::string& path) {
  const auto fail = [&](const char* what) {
    const bool disk = read_failure(errno) == ErrorKind::io;
    throw_error(disk ? ErrorKind::io : ErrorKind::recipe, "{}: {}: {}", path, what,
                std::strerror(errno));
  };
  // Not blocking: a FIFO under this name must not hang the program.
  const int fd =
      uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (fd < 0) fail("cannot be read");
  struct Closer {
    int fd;
    ~Closer() { ::close(fd); }
  } closer{fd};
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail("cannot be examined");
  if (!S_ISREG(status.st_mode))
    throw_error(ErrorKind::recipe, "{}: found {}, a recipe file expected", path,
                S_ISDIR(status.st_mode) ? "a directory" : "no regular file");
  if (status.st_size > kMostBytes)
    throw_error(ErrorKind::recipe, "{}: found {} bytes, at most {} expected", path, status.st_size,
                kMostBytes);
  std::string text(static_cast<size_t>(kMostBytes) + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t n =
        uninterrupted([&] { return ::read(fd, text.data() + size, text.size() - size); });
    if (n < 0) fail("reading failed");
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  if (size > static_cast<size_t>(kMostBytes))
    throw_error(ErrorKind::recipe, "{}: more than {} bytes", path, kMostBytes);
  text.resize(size);
  return text;
}

}  // namespace

int too_deep_at_line(std::string_view text, int most) {
  int line = 1, depth = 0, dots = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      const std::string fence(3, c);
      const bool block = text.substr(i, 3) == fence;
      i += block ? 3 : 1;
      for (; i < text.size(); ++i) {
        if (text[i] == '\n') {
          ++line;
          if (!block) break;  // not closed: the parser stops here
        }
        if (c == '"' && text[i] == '\\' && text.substr(i + 1, 1) != "\n")
          ++i;
        else if (block ? text.substr(i, 3) == fence : text[i] == c)
          break;
      }
      if (!block || i >= text.size()) continue;
      // A block may end in up to two quotes of its own.
      i += 2;
      for (int extra = 0; extra < 2 && i + 1 < text.size() && text[i + 1] == c; ++extra) ++i;
      continue;
    }
    if (c == '#') {
      while (i + 1 < text.size() && text[i + 1] != '\n') ++i;
    } else if (c == '\n') {
      ++line;
      dots = 0;
    } else if (c == '[' || c == '{') {
      ++depth;
      dots = 0;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',' || c == '=') {
      dots = 0;
    } else if (c == '.') {
      ++dots;
    }
    if (depth > most || dots >= most) return line;
  }
  return 0;
}

toml::table parse_recipe(const std::string& text, const std::string& where, ErrorKind kind) {
  if (const int line = too_deep_at_line(text, kMostNesting))
    throw_error(kind, "{}:{}: nested deeper than {} levels", where, line, kMostNesting);
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw_error(kind, "{}:{}: {}", where, error.source().begin.line,
                printable(error.description()));
  }
}

toml::table read_recipe_file(const std::string& path) {
  return parse_recipe(read_text(path), path, ErrorKind::recipe);
}

}  // namespace halftone
