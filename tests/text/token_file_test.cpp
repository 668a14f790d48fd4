#include "halftone/text/token_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/io/sealed_file.h"
#include "halftone/text/token_stream.h"
#include "text/data_testing.h"

namespace halftone {
namespace {

TEST_F(DataTest, TokenFilesComeBackAndDamageIsNoticed) {
  const std::string path = folder_ + "/a.tok";
  const std::vector<int32_t> tokens{5, 1, 2047, 0};
  write_token_file(path, tokens, *tokenizer_);
  EXPECT_EQ(read_token_file(path, *tokenizer_), tokens);
  EXPECT_EQ(read_token_stream({path}, *tokenizer_).all(), tokens);
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
  EXPECT_THROW(write_token_file(path, std::vector<int32_t>{2048}, *tokenizer_),
               std::invalid_argument);
  EXPECT_EQ(read_token_file(path, *tokenizer_), tokens);
}

TEST_F(DataTest, TokenFilesTellTheirDocuments) {
  const std::string path = folder_ + "/marked.tok";
  const std::vector<int32_t> tokens{5, 0, 2047, 0, 7};
  const std::vector<DocumentMark> marks{{2, 17}, {2, 1}, {5, ~uint64_t{0}}};
  write_token_file(path, tokens, *tokenizer_, marks);
  const auto file = TokenFile::open(path, *tokenizer_);
  EXPECT_EQ(file->documents(), marks);
  EXPECT_EQ(read_token_file(path, *tokenizer_), tokens);
  std::vector<int32_t> middle(3);
  file->read(1, middle);
  EXPECT_EQ(middle, (std::vector<int32_t>{0, 2047, 0}));
  EXPECT_THROW(file->read(3, middle), std::invalid_argument);
  EXPECT_EQ(read_token_header(path).documents, 3);
  EXPECT_EQ(read_token_header(path).tokens, 5);
  EXPECT_EQ(read_token_header(path).tokenizer_hash, tokenizer_->hash());
  // Ends that do not rise to the number of ids, behind a good seal.
  for (const std::vector<DocumentMark>& bad :
       {std::vector<DocumentMark>{{3, 0}, {2, 0}, {5, 0}}, {{2, 0}, {6, 0}}, {{4, 0}}}) {
    write_token_file(path, tokens, *tokenizer_, bad);
    EXPECT_THROW(TokenFile::open(path, *tokenizer_), Error);
  }
}

TEST_F(DataTest, DocumentsOfUnmarkedTokensEndWithTheEndToken) {
  const int32_t end = *tokenizer_->eos();
  const std::vector<int32_t> tokens{5, end, end, 7, 9};
  const std::vector<DocumentMark> marks = marks_at_ends(tokens, end);
  ASSERT_EQ(marks.size(), 3u);
  EXPECT_EQ(marks[0].end, 2u);
  EXPECT_EQ(marks[1].end, 3u);
  EXPECT_EQ(marks[2].end, 5u);
  EXPECT_NE(marks[0].hash, marks[1].hash);
  EXPECT_EQ(marks_at_ends(tokens, std::nullopt).size(), 1u);
  write_token_file(folder_ + "/plain.tok", tokens, *tokenizer_);
  EXPECT_EQ(TokenFile::open(folder_ + "/plain.tok", *tokenizer_)->documents(), marks);
  EXPECT_FALSE(read_token_header(folder_ + "/plain.tok").documents);
}

TEST_F(DataTest, ADocumentsHashIsTheStartOfItsDigest) {
  // SHA-256 of "abc" begins with ba7816bf8f01cfea.
  EXPECT_EQ(document_hash("abc"), 0xeacf018fbf1678baULL);
}

}  // namespace
}  // namespace halftone
