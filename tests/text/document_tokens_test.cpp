#include "halftone/text/document_tokens.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/threads.h"
#include "text/data_testing.h"

namespace halftone {
namespace {

std::vector<int32_t> all(const DocumentTokens& tokens) {
  std::vector<int32_t> out(static_cast<size_t>(tokens.size()));
  tokens.read(0, out);
  return out;
}

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> out;
  if (std::filesystem::exists(folder))
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      out.push_back(entry.path());
  return out;
}

TEST_F(DataTest, EachDocumentIsMarkedWithItsEndAndTheHashOfItsText) {
  const std::string path = write("a.txt", "It is one.\n<|endoftext|>\nTwo, 1,000.\n");
  const auto plain = read_document_tokens(path, *tokenizer_);
  std::vector<int32_t> expected = tokenizer_->encode("It is one.");
  expected.push_back(*tokenizer_->eos());
  const size_t first = expected.size();
  for (const int32_t id : tokenizer_->encode("Two, 1,000.")) expected.push_back(id);
  expected.push_back(*tokenizer_->eos());
  EXPECT_EQ(all(*plain), expected);
  ASSERT_EQ(plain->marks().size(), 2u);
  EXPECT_EQ(plain->marks()[0], (DocumentMark{first, document_hash("It is one.")}));
  EXPECT_EQ(plain->marks()[1], (DocumentMark{expected.size(), document_hash("Two, 1,000.")}));
  // Set otherwise it is the same document.
  const auto set = read_document_tokens(path, *tokenizer_, Typography::wikitext);
  ASSERT_EQ(set->marks().size(), 2u);
  EXPECT_EQ(set->marks()[1].hash, plain->marks()[1].hash);
  std::vector<int32_t> second(set->marks()[1].end - set->marks()[0].end - 1);
  set->read(static_cast<int64_t>(set->marks()[0].end), second);
  EXPECT_EQ(tokenizer_->decode(second), " Two , 1 @,@ 000 . \n");
}

TEST_F(DataTest, TokensAreTheSameOnAnyNumberOfThreads) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "Number " + std::to_string(i) + ".\n<|endoftext|>\n";
  const std::string path = write("a.txt", text);
  const auto with = [&](int count) {
    set_threads(count);
    const auto tokens = read_document_tokens(path, *tokenizer_);
    set_threads(0);
    return tokens;
  };
  EXPECT_EQ(all(*with(1)), all(*with(3)));
  EXPECT_EQ(with(1)->marks(), with(3)->marks());
}

TEST_F(DataTest, TokensAreKeptUnderAllThatDecidesThem) {
  const std::string path = write("a.txt", "one\n<|endoftext|>\ntwo"), cache = folder_ + "/cache";
  const auto fresh = read_document_tokens(path, *tokenizer_);
  EXPECT_EQ(all(*read_document_tokens(path, *tokenizer_, {}, {cache, false})), all(*fresh));
  EXPECT_TRUE(files_in(cache).empty());
  EXPECT_EQ(all(*read_document_tokens(path, *tokenizer_, {}, {cache})), all(*fresh));
  const std::vector<std::string> kept = files_in(cache);
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(TokenFile::open(kept[0], *tokenizer_)->documents(), fresh->marks());
  // Another name is the same text, another typography or text is not.
  read_document_tokens(write("b.txt", "one\n<|endoftext|>\ntwo"), *tokenizer_, {}, {cache});
  EXPECT_EQ(files_in(cache).size(), 1u);
  read_document_tokens(path, *tokenizer_, Typography::wikitext, {cache});
  EXPECT_EQ(files_in(cache).size(), 2u);
  read_document_tokens(write("b.txt", "one\n<|endoftext|>\nTwo"), *tokenizer_, {}, {cache});
  EXPECT_EQ(files_in(cache).size(), 3u);
  // It is read where it is there, and its damage is noticed.
  const std::vector<int32_t> other{1, 2, *tokenizer_->eos()};
  write_token_file(kept[0], other, *tokenizer_);
  EXPECT_EQ(all(*read_document_tokens(path, *tokenizer_, {}, {cache, false})), other);
  std::ofstream(kept[0], std::ios::binary) << "HTTOKENS";
  EXPECT_THROW(read_document_tokens(path, *tokenizer_, {}, {cache}), Error);
}

TEST_F(DataTest, ATokenFileIsTakenAsItIs) {
  const std::string path = folder_ + "/a.tok", cache = folder_ + "/cache";
  const std::vector<int32_t> tokens{1, 2, *tokenizer_->eos(), 3};
  write_token_file(path, tokens, *tokenizer_);
  EXPECT_EQ(all(*read_document_tokens(path, *tokenizer_, {}, {cache})), tokens);
  EXPECT_TRUE(files_in(cache).empty());
  try {
    read_document_tokens(path, *tokenizer_, Typography::wikitext);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::recipe);
    EXPECT_NE(std::string(error.what()).find(path + ": is a token file"), std::string::npos);
  }
}

}  // namespace
}  // namespace halftone
