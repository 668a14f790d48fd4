// The program's two outputs. Results go to stdout: one that cannot be written is an error. Notes
// and progress go to stderr: they never end a run.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>

namespace halftone {

// To be called first. A closed pipe and a full quota become errors of the write; standard streams
// that are closed are opened on /dev/null, unwritable, so that no file takes their place.
void open_console();

// stdout; Error(io) when it cannot be written.
void print_text(std::string_view text);
void flush_results();
// Writes out what is buffered and closes stdout: the last that a command which prints does.
void close_results();

// stderr; failures are ignored.
void say_text(std::string_view text);

template <class... Args>
void print(fmt::format_string<Args...> text, Args&&... args) {
  print_text(fmt::format(text, std::forward<Args>(args)...));
}

template <class... Args>
void say(fmt::format_string<Args...> text, Args&&... args) {
  say_text(fmt::format(text, std::forward<Args>(args)...));
}

// print_results() and a flush; the error of a failure says that the results are in `file` too.
void print_copy_of(const std::string& file, const std::function<void()>& print_results);

}  // namespace halftone
