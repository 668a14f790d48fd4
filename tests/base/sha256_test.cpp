#include "halftone/base/sha256.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <string>

#include "halftone/base/error.h"

namespace halftone {
namespace {

TEST(Sha256, GivesThePublishedDigest) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, OfAFileOrOfPartsIsThatOfTheWhole) {
  const std::string text(100000, 'h'),
      path = ::testing::TempDir() + "sha256-" + std::to_string(getpid());
  std::ofstream(path, std::ios::binary) << text;
  Sha256 parts;
  for (size_t at = 0; at < text.size(); at += 777)
    parts.update(std::string_view(text).substr(at, 777));
  EXPECT_EQ(sha256_hex(text), parts.hex());
  EXPECT_EQ(sha256_hex(text), sha256_file(path));
  std::filesystem::remove(path);
  EXPECT_THROW(sha256_file(path), Error);
}

}  // namespace
}  // namespace halftone
