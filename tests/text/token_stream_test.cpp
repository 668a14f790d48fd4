#include "halftone/text/token_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

#include "halftone/base/error.h"
#include "text/data_testing.h"

namespace halftone {
namespace {

TEST_F(DataTest, EveryDocumentIsClosedByTheEndToken) {
  const auto tokens =
      read_token_stream({write("a.txt", "one\n<|endoftext|>\ntwo\n"), gzip("b.txt.gz", "three")},
                        *tokenizer_)
          .all();
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), *tokenizer_->eos()), 3);
  EXPECT_EQ(tokens.back(), *tokenizer_->eos());
}

TEST_F(DataTest, StretchesReadAsOneStream) {
  const auto text = std::make_shared<const DocumentTokens>(
      std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7}, std::vector<DocumentMark>{{8, 0}});
  TokenStream stream(std::vector<int32_t>{9, 8});
  stream.append(text, 5, 2);
  stream.append(text, 7, 0);
  stream.append(text, 7, 1);  // goes on
  stream.append(text, 0, 3);
  TokenStream twice = stream;
  twice.append(stream);
  std::vector<int32_t> whole{9, 8, 5, 6, 7, 0, 1, 2};
  EXPECT_EQ(stream.all(), whole);
  whole.insert(whole.end(), whole.begin(), whole.begin() + 8);
  EXPECT_EQ(twice.all(), whole);
  for (int64_t begin = 0; begin <= twice.size(); ++begin)
    for (int64_t end = begin; end <= twice.size(); ++end) {
      std::vector<int32_t> part(static_cast<size_t>(end - begin));
      twice.read(begin, part);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + begin))
          << begin << " " << end;
    }
  std::vector<int32_t> parts, beyond(2);
  twice.for_each_part(
      [&](std::span<const int32_t> p) { parts.insert(parts.end(), p.begin(), p.end()); });
  EXPECT_EQ(parts, whole);
  EXPECT_THROW(twice.read(15, beyond), std::invalid_argument);
  EXPECT_THROW(stream.append(text, 7, 2), std::invalid_argument);
  EXPECT_EQ(TokenSequences(twice, 3).sha256(), TokenSequences(whole, 3).sha256());
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
}

}  // namespace
}  // namespace halftone
