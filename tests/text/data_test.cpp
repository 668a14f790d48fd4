#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "halftone/base/error.h"
#include "halftone/io/sealed_file.h"
#include "halftone/text/batches.h"
#include "halftone/text/documents.h"
#include "halftone/text/token_file.h"
#include "halftone/text/token_stream.h"

namespace halftone {
namespace {

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

TEST_F(DataTest, EveryDocumentIsClosedByTheEndToken) {
  const auto tokens = read_token_stream(
      {write("a.txt", "one\n<|endoftext|>\ntwo\n"), gzip("b.txt.gz", "three")}, *tokenizer_);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), *tokenizer_->eos()), 3);
  EXPECT_EQ(tokens.back(), *tokenizer_->eos());
}

TEST_F(DataTest, TextShorterThanOneSequenceIsRefused) {
  EXPECT_THROW(TokenSequences({1, 2, 3}, 4), Error);
  EXPECT_EQ(TokenSequences({1, 2, 3, 4, 5}, 2).count(), 2);
}

TEST_F(DataTest, TokenFilesComeBackAndDamageIsNoticed) {
  const std::string path = folder_ + "/a.tok";
  const std::vector<int32_t> tokens{5, 1, 2047, 0};
  write_token_file(path, tokens, *tokenizer_);
  EXPECT_EQ(read_token_file(path, *tokenizer_), tokens);
  EXPECT_EQ(read_token_stream({path}, *tokenizer_), tokens);
  std::ifstream file(path, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  std::string unsealed = whole.substr(0, whole.size() - kSealBytes);
  unsealed[8] = 1;
  EXPECT_EQ(read_token_file(write("unsealed.tok", unsealed), *tokenizer_), tokens);
  const auto refused = [&](const std::string& bytes) {
    EXPECT_THROW(read_token_file(write("damaged.tok", bytes), *tokenizer_), Error);
  };
  for (const std::string& good : {whole, unsealed}) {
    for (size_t length = 0; length < good.size(); ++length) refused(good.substr(0, length));
    refused(good + "x");
    for (const size_t at : {8, 12, 20, 80, 87}) {  // version, width, the tokenizer's hash, count
      std::string spoiled = good;
      spoiled[at] ^= 1;
      refused(spoiled);
    }
  }
  std::string beyond = unsealed;
  beyond[beyond.size() - 7] = 8;  // the first id becomes 2048 or more
  refused(beyond);
  std::string other_id = whole;
  other_id[88] ^= 1;
  refused(other_id);
  EXPECT_THROW(write_token_file(path, {2048}, *tokenizer_), std::invalid_argument);
  EXPECT_EQ(read_token_file(path, *tokenizer_), tokens);
}

TEST(Batches, GiveEverySequenceOnceAnEpochAndResumeAnywhere) {
  std::vector<int32_t> tokens(7 * 3);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i / 3);
  const TokenSequences sequences(tokens, 3);
  Batches batches(sequences, 2, 9);
  std::vector<std::vector<int32_t>> seen;
  std::vector<Cursor> cursors;
  for (int i = 0; i < 14; ++i) {
    cursors.push_back(batches.cursor());
    seen.push_back(batches.next());
  }
  std::multiset<int32_t> first_epoch;
  for (int i = 0; i < 7; ++i) {
    first_epoch.insert(seen[i / 2][i % 2 * 3]);
    EXPECT_EQ(seen[i][0], seen[i][2]);  // a sequence stays together
  }
  EXPECT_EQ(std::set<int32_t>(first_epoch.begin(), first_epoch.end()).size(), 7u);
  for (int i = 0; i < 14; ++i) {
    Batches other(sequences, 2, 9);
    other.seek(cursors[i]);
    EXPECT_EQ(other.next(), seen[i]) << i;
  }
  std::vector<int32_t> first, second;  // the orders of two epochs
  for (int i = 0; i < 7; ++i) {
    first.push_back(seen[i / 2][i % 2 * 3]);
    second.push_back(seen[(i + 7) / 2][(i + 7) % 2 * 3]);
  }
  EXPECT_TRUE(std::is_permutation(first.begin(), first.end(), second.begin()));
  EXPECT_NE(first, second);
  for (int i = 0; i < 14; ++i) {
    Batches numbered(sequences, 2, 9);
    numbered.seek(cursors[i]);
    numbered.next();
    ASSERT_EQ(numbered.given().size(), 2u);
    for (int j = 0; j < 2; ++j) EXPECT_EQ(numbered.given()[j], seen[i][3 * j]);  // as it holds
  }
  Batches another_seed(sequences, 7, 10), same_seed(sequences, 7, 9);
  EXPECT_NE(another_seed.next(), same_seed.next());
}

}  // namespace
}  // namespace halftone
