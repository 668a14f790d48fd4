#include "halftone/io/text_file.h"

#include <gtest/gtest.h>

#include <string>

#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::expect_refused;
using testing::TemporaryDirectory;

TEST(TextFile, IsReadWholeUpToItsLimit) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("a", std::string("ab\0c", 4));
  EXPECT_EQ(read_text_file(path, 4), std::string("ab\0c", 4));
  expect_refused("holds 4 bytes, at most 3 expected", [&] { read_text_file(path, 3); });
  EXPECT_EQ(read_text_file(directory.write("empty", ""), 0), "");
}

}  // namespace
}  // namespace halftone
