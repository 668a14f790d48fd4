#include "halftone/text/token_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/text/typography.h"
#include "text/data_testing.h"

namespace halftone {
namespace {

TEST_F(DataTest, EveryDocumentIsClosedByTheEndToken) {
  const auto tokens = read_token_stream(
      {write("a.txt", "one\n<|endoftext|>\ntwo\n"), gzip("b.txt.gz", "three")}, *tokenizer_);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), *tokenizer_->eos()), 3);
  EXPECT_EQ(tokens.back(), *tokenizer_->eos());
}

TEST_F(DataTest, AShareOfTheDocumentsIsSetAsWikiTextIs) {
  const std::string line = "\n<|endoftext|>\n", text = "It is one, or two.";
  const std::string path = write("a.txt", text + line + text + line + text + line + text);
  const std::vector<int32_t> plain = tokenizer_->encode(text),
                             set = tokenizer_->encode(wikitext_typography(text));
  ASSERT_NE(plain, set);
  std::vector<int32_t> expected;
  for (const auto& ids : {plain, set, plain, set}) {
    expected.insert(expected.end(), ids.begin(), ids.end());
    expected.push_back(*tokenizer_->eos());
  }
  EXPECT_EQ(read_token_stream({path}, *tokenizer_, 0.5), expected);
  const auto all = read_token_stream({path}, *tokenizer_, 1);
  EXPECT_EQ(static_cast<size_t>(std::count(all.begin(), all.end(), *tokenizer_->eos())), 4u);
  EXPECT_EQ(all.size(), 4 * (set.size() + 1));
}

TEST_F(DataTest, TextShorterThanOneSequenceIsRefused) {
  EXPECT_THROW(TokenSequences({1, 2, 3}, 4), Error);
  EXPECT_EQ(TokenSequences({1, 2, 3, 4, 5}, 2).count(), 2);
}

TEST_F(DataTest, SequencesAreCutInOrderAndTheRestIsDropped) {
  const TokenSequences sequences({1, 2, 3, 4, 5}, 2);
  EXPECT_EQ(sequences.length(), 2);
  EXPECT_TRUE(std::ranges::equal(sequences.sequence(1), std::vector<int32_t>{3, 4}));
  EXPECT_EQ(sequences.sha256(), TokenSequences({1, 2, 3, 4, 5}, 2).sha256());
  EXPECT_NE(sequences.sha256(), TokenSequences({1, 2, 3, 4, 5}, 1).sha256());
  EXPECT_NE(sequences.sha256(), TokenSequences({1, 2, 3, 4, 6}, 2).sha256());
  const std::string path = write("a.txt", "one two three four five");
  const auto stream = read_token_stream({path}, *tokenizer_);
  EXPECT_EQ(load_sequences({path}, *tokenizer_, 2).sha256(), TokenSequences(stream, 2).sha256());
}

}  // namespace
}  // namespace halftone
