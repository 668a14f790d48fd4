// A folder of texts, and a tokenizer, for the tests of what is made of texts.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "halftone/text/tokenizer.h"

namespace halftone {

class DataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "data-" + std::to_string(getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << content;
    return folder_ + "/" + name;
  }
  std::string gzip(const std::string& name, const std::string& content) const {
    gzFile file = gzopen((folder_ + "/" + name).c_str(), "wb");
    gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    gzclose(file);
    return folder_ + "/" + name;
  }
  std::string folder_;
  std::unique_ptr<Tokenizer> tokenizer_ =
      load_tokenizer(HALFTONE_SOURCE_DIR "/recipes/quickstart/teacher/tokenizer.json");
};

}  // namespace halftone
