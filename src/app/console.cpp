#include "app/console.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"

namespace halftone {
namespace {

[[noreturn]] void fail() {
  throw_io("standard output", "write", errno);
}

}  // namespace

void open_console() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  // Each open takes the lowest number that is free, which is the one just found closed.
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(stream, F_GETFD) < 0 && errno == EBADF) (void)!::open("/dev/null", O_RDONLY);
}

void print_text(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail();
}

void flush_results() {
  if (std::fflush(stdout) != 0) fail();
}

void close_results() {
  if (std::fclose(stdout) != 0) fail();
}

void say_text(std::string_view text) {
  (void)!std::fwrite(text.data(), 1, text.size(), stderr);
}

void print_copy_of(const std::string& file, const std::function<void()>& print_results) {
  try {
    print_results();
    flush_results();
  } catch (const Error& error) {
    throw_error(error.kind(), "{}; the result is in {}", error.what(), file);
  }
}

}  // namespace halftone
