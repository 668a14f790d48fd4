// What the tests of recipes share.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "app/recipe.h"
#include "halftone/base/error.h"

namespace halftone::testing {

namespace fs = std::filesystem;

// A folder with a teacher and texts, so that recipes in it can name what exists.
class RecipeFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("halftone_recipe_" + std::to_string(::getpid()));
    fs::create_directories(folder_ / "teacher");
    fs::create_directories(folder_ / "bare");
    put("teacher/config.json", "{}");
    put("teacher/tokenizer.json", "{}");
    put("train.txt", "text");
    put("heldout.txt", "text");
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  Recipe read(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    put("r.toml", text);
    return read_recipe(at("r.toml"), overrides);
  }
  std::string error_of(const std::string& text,
                       const std::vector<std::string>& overrides = {}) const {
    try {
      read(text, overrides);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::recipe);
      return error.what();
    }
    return "(no error)";
  }

  fs::path folder_;
};

inline const std::string kGood = R"([run]
name = "a"
method = "onebit"
[teacher]
model = "teacher"
[data]
train = ["train.txt"]
[train]
max_steps = 10
[eval]
text = "heldout.txt"
)";

// kGood without the lines of one section, and `text` behind it.
inline std::string good_but(const std::string& section, const std::string& text) {
  std::string out = kGood;
  const size_t begin = out.find("[" + section + "]\n");
  if (begin != std::string::npos) {
    const size_t end = out.find("\n[", begin);
    out.erase(begin, end == std::string::npos ? std::string::npos : end + 1 - begin);
  }
  return out + "[" + section + "]\n" + text + "\n";
}

}  // namespace halftone::testing
