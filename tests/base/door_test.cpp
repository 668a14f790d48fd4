// Numbers are touched behind one door: above ops nobody asks a tensor for its memory, and in ops
// kernels alone do.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

std::vector<std::string> lines_of(const fs::path& file) {
  std::vector<std::string> out;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

std::vector<fs::path> sources(const std::string& folder) {
  std::vector<fs::path> out;
  for (const std::string root : {"/src/", "/include/halftone/"}) {
    const fs::path directory = HALFTONE_SOURCE_DIR + root + folder;
    if (!fs::exists(directory)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(directory))
      if (entry.path().extension() == ".cpp" || entry.path().extension() == ".h")
        out.push_back(entry.path());
  }
  return out;
}

// `x.data<float>()` and `x.template data<T>()`, not a std::vector's data().
const std::regex kNumbers(R"([.>]\s*(template )?data<)");

TEST(Door, NobodyAboveOpsTouchesNumbers) {
  size_t files = 0;
  for (const std::string folder :
       {"nn", "text", "model", "compress", "train", "eval", "report", "app"})
    for (const fs::path& file : sources(folder)) {
      ++files;
      int number = 0;
      for (const std::string& line : lines_of(file)) {
        ++number;
        EXPECT_FALSE(std::regex_search(line, kNumbers)) << file << ":" << number << ": " << line;
      }
    }
  EXPECT_GT(files, 100u);
}

// A kernel is a function of namespace cpu, or what one calls: it lies in an unnamed namespace.
TEST(Door, InOpsKernelsAloneTouchNumbers) {
  const std::regex opens(R"(^namespace (cpu )?\{$)"), one_kernel(R"(^void cpu::)");
  size_t found = 0;
  for (const fs::path& file : sources("ops")) {
    if (file.extension() != ".cpp") continue;
    bool inside = false, kernel = false;
    int number = 0;
    for (const std::string& line : lines_of(file)) {
      ++number;
      if (std::regex_search(line, opens)) inside = true;
      if (line == "}  // namespace" || line == "}  // namespace cpu") inside = false;
      if (std::regex_search(line, one_kernel)) kernel = true;
      if (line == "}") kernel = false;
      if (!std::regex_search(line, kNumbers)) continue;
      ++found;
      EXPECT_TRUE(inside || kernel) << file << ":" << number << ": " << line;
    }
  }
  EXPECT_GT(found, 20u);
}

}  // namespace
