// Runs one target over files and over all files of folders, in an ordinary build: what was found
// once stays found.
//   replay TARGET PATH...
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "halftone/base/threads.h"
#include "target.h"

namespace fs = std::filesystem;

namespace {

std::vector<std::string> files_at(const std::string& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.is_regular_file()) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + " cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

int main(int argc, char** argv) {
  const auto found = halftone::fuzz::targets().find(argc > 1 ? argv[1] : "");
  if (found == halftone::fuzz::targets().end()) {
    fmt::print(stderr, "usage: replay TARGET PATH...\n");
    for (const auto& [name, target] : halftone::fuzz::targets()) fmt::print(stderr, "  {}\n", name);
    return 2;
  }
  halftone::set_threads(1);
  int inputs = 0, failures = 0;
  for (int i = 2; i < argc; ++i) {
    for (const std::string& file : files_at(argv[i])) {
      const std::string bytes = bytes_of(file);
      try {
        ++inputs;
        found->second(bytes);
      } catch (const std::exception& error) {
        fmt::print("{}: {}\n", file, error.what());
        ++failures;
      }
    }
  }
  fmt::print("{}: {} inputs, {} failures\n", found->first, inputs, failures);
  return failures > 0 || inputs == 0;
}
