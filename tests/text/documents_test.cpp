#include "halftone/text/documents.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "halftone/base/error.h"
#include "text/data_testing.h"

namespace halftone {
namespace {

TEST(Documents, AreSeparatedByLinesOfTheEndToken) {
  const auto documents = split_documents(
      "one\nstill one\n<|endoftext|>\n<|endoftext|>\r\ntwo <|endoftext|> "
      "inside, end <|endoftext|>\r\n<|endoftext|>\nthree");
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_EQ(documents[0], "one\nstill one");
  EXPECT_EQ(documents[1], "two <|endoftext|> inside, end <|endoftext|>");
  EXPECT_EQ(documents[2], "three");
  EXPECT_TRUE(split_documents("").empty());
}

TEST(Wikitext, RowsAreJoinedAsTheDataSetHasThem) {
  EXPECT_EQ(join_wikitext(" \n = A = \n \n Text . \n"), "\n\n = A = \n\n\n\n\n Text . \n");
  EXPECT_EQ(join_wikitext("a\nb"), "a\n\n\nb");
}

TEST_F(DataTest, GzipIsUnpackedAndItsDamageNoticed) {
  const std::string text(100000, 'x');
  const std::string path = gzip("a.txt.gz", text);
  EXPECT_EQ(read_text(path), text);
  std::ifstream file(path, std::ios::binary);
  const std::string packed((std::istreambuf_iterator<char>(file)), {});
  for (size_t length : {size_t{0}, size_t{5}, size_t{12}, packed.size() / 2, packed.size() - 1})
    EXPECT_THROW(read_text(write("cut.txt.gz", packed.substr(0, length))), Error) << length;
  EXPECT_THROW(read_text(write("not.txt.gz", "plain text")), Error);
}

TEST_F(DataTest, GzipOfSeveralPartsIsOneText) {
  const auto bytes = [](const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string first = bytes(gzip("a.gz", "one ")), second = bytes(gzip("b.gz", "two"));
  EXPECT_EQ(read_text(write("both.gz", first + second)), "one two");
  EXPECT_EQ(read_text(write("whatever its name", second)), "two");
}

TEST_F(DataTest, AFileOfAKnownKindThatIsNoTextIsRefused) {
  EXPECT_EQ(read_text(write("a.txt", "GGU")), "GGU");
  EXPECT_THROW(read_text(write("a.txt", "GGUF and more")), Error);
  EXPECT_THROW(read_text(folder_), Error);
  EXPECT_THROW(read_text(folder_ + "/absent"), Error);
}

}  // namespace
}  // namespace halftone
