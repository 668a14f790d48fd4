// Errors that a user can act on. std::invalid_argument is for callers of the library who broke a
// precondition; Error is for what comes from outside: files, recipes, devices, numbers.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace halftone {

// The kind decides the exit code of the program (see exit_code below).
enum class ErrorKind {
  recipe,      // a recipe or command line that cannot be carried out
  format,      // an input file that is missing, unreadable or malformed
  io,          // a disk or the system failed: full, faulty, no permission to write
  memory,      // not enough memory
  numerical,   // a run stopped on non-finite numbers
  checkpoint,  // a checkpoint that does not fit the recipe
  device,      // a device that is absent or cannot do what is asked
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& text) : std::runtime_error(text), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// 0 ok, 1 internal, 2 usage or recipe, 3 input file, 4 I/O, 5 memory, 6 numerical stop,
// 7 interrupted with a checkpoint saved, 8 checkpoint does not fit.
int exit_code(ErrorKind kind);
inline constexpr int kExitInterrupted = 7;

// What a failure to find or read a file is, by errno: format where there is no such file, or not
// for this user; io where the disk or the system fails, which says nothing about the file.
ErrorKind read_failure(int error_number);

// throw_error(ErrorKind::format, "{}: tensor '{}' has {} dimensions, at most {} expected", ...).
template <class... Args>
[[noreturn]] void throw_error(ErrorKind kind, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(kind, fmt::format(text, std::forward<Args>(args)...));
}

// Precondition of a public function: throws std::invalid_argument.
template <class... Args>
void require(bool condition, fmt::format_string<Args...> text, Args&&... args) {
  if (!condition) throw std::invalid_argument(fmt::format(text, std::forward<Args>(args)...));
}

// A string from a file made safe to print: control bytes escaped, cut at 120 bytes.
std::string printable(std::string_view text);

}  // namespace halftone
