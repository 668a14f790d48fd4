// A fuzz target: a function that does with the bytes of a file all that the program would do with
// it.
//
//   HT_FUZZ_TARGET(recipe) { ... input ... }
//
// registers one by its name; fuzz_main.cpp hands it what libFuzzer makes up, replay_main.cpp the
// files that are kept. The only exception that may leave a reader is halftone::Error, and not with
// every kind: what a target lets through ends the process, as does whatever the sanitizers find.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/base/error.h"

namespace halftone::fuzz {

using Target = void (*)(std::string_view input);
std::map<std::string, Target>& targets();  // by name

struct Registration {
  Registration(const char* name, Target target) { targets()[name] = target; }
};

#define HT_FUZZ_TARGET(name)                                            \
  static void name(std::string_view input);                             \
  static const halftone::fuzz::Registration name##_target(#name, name); \
  static void name(std::string_view input)

// A step of a target; false where the file was refused. The program's own words for a caller's
// mistake (std::invalid_argument) and for a full disk are no answer to a file's content.
template <class Action>
bool accepted(const Action& action) {
  try {
    action();
    return true;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::io || error.kind() == ErrorKind::memory) throw;
    return false;
  }
}

// A folder in memory, of this process alone, for the files that the readers want.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, std::string_view bytes) const;  // its path
  void remove(const std::string& name) const;

 private:
  std::string path_;
};
Scratch& scratch();

// The parts of an input that stands for several files: what lies between its zero bytes.
std::vector<std::string_view> parts(std::string_view input, size_t most);

// Writes parts to files of the given names, in their order; files without a part are removed.
void write_parts(std::string_view input, const std::vector<std::string>& names);

// Sees every byte, so that the address sanitizer does.
void touch(const void* data, size_t bytes);

}  // namespace halftone::fuzz
