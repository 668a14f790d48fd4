// The folders' order: a file includes its own folder and those to its left only.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kFolders{"base",  "tensor", "io",     "quant", "autograd",
                                        "ops",   "nn",     "text",   "model", "compress",
                                        "train", "eval",   "report", "app"};

long place(const std::string& folder) {
  const auto it = std::find(kFolders.begin(), kFolders.end(), folder);
  return it == kFolders.end() ? -1 : it - kFolders.begin();
}

// Lines of `file` (in `folder`) that include a folder to the right, or one that is not known.
std::vector<std::string> wrong_includes(const std::string& folder, std::istream& file) {
  static const std::regex include(R"re(#include "(?:halftone/)?([a-z0-9_]+)/)re");
  std::vector<std::string> wrong;
  std::smatch match;
  for (std::string line; std::getline(file, line);)
    if (std::regex_search(line, match, include) &&
        (place(match[1]) < 0 || place(match[1]) > place(folder)))
      wrong.push_back(line);
  return wrong;
}

TEST(IncludeOrder, EveryFileIncludesOnlyItsFolderAndThoseToItsLeft) {
  const fs::path root = HALFTONE_SOURCE_DIR;
  int files = 0;
  for (const char* top : {"src", "include/halftone"})
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      if (!entry.is_regular_file()) continue;
      const std::string folder = *fs::relative(entry.path(), root / top).begin();
      ASSERT_GE(place(folder), 0) << entry.path() << ": a folder that the design does not know";
      std::ifstream file(entry.path());
      for (const std::string& line : wrong_includes(folder, file))
        ADD_FAILURE() << entry.path() << ": " << line;
      ++files;
    }
  EXPECT_GT(files, 20);
}

// What is installed stands by itself.
TEST(IncludeOrder, PublicHeadersIncludePublicOnesAlone) {
  static const std::regex quoted(R"re(#include "([^"]+)")re");
  const fs::path root = fs::path(HALFTONE_SOURCE_DIR) / "include";
  int includes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path());
    std::smatch match;
    for (std::string line; std::getline(file, line);) {
      if (!std::regex_search(line, match, quoted)) continue;
      EXPECT_TRUE(fs::exists(root / match[1].str())) << entry.path() << ": " << line;
      ++includes;
    }
  }
  EXPECT_GT(includes, 100);
}

TEST(IncludeOrder, AnIncludeToTheRightIsFound) {
  std::istringstream file(
      "#include \"halftone/base/error.h\"\n#include \"halftone/train/trainer.h\"\n");
  EXPECT_EQ(wrong_includes("nn", file).size(), 1u);
}

}  // namespace
