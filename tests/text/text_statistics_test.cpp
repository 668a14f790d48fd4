#include "halftone/text/text_statistics.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/text/document_tokens.h"
#include "text/data_testing.h"

namespace halftone {
namespace {

const std::string kText =
    "caf\u00e9\n<|endoftext|>\na well @-@ known "
    "one\n<|endoftext|>\ncaf\u00e9\n<|endoftext|>\nlonger "
    "than\nthe others are , by far\n";

void expect_counts(const DocumentStatistics& found) {
  EXPECT_EQ(found.bytes, 5 + 20 + 5 + 35);
  EXPECT_EQ(found.characters, 4 + 20 + 4 + 35);
  EXPECT_EQ(found.lengths.shortest, 5);
  EXPECT_EQ(found.lengths.median, 5);
  EXPECT_EQ(found.lengths.longest, 35);
  EXPECT_EQ(found.wikitext, 1);
  EXPECT_EQ(found.duplicates, 1);
}

TEST_F(DataTest, ATextIsCounted) {
  const std::string plain = write("a.txt", kText), packed = gzip("a.txt.gz", kText);
  for (const std::string& path : {plain, packed}) {
    ASSERT_TRUE(is_text_file(path));
    const TextStatistics found = text_statistics(path, nullptr);
    EXPECT_EQ(found.format, path == plain ? "text" : "gzipped text");
    EXPECT_EQ(found.digest, sha256_hex(kText));
    EXPECT_EQ(found.documents, 4);
    ASSERT_TRUE(found.text);
    expect_counts(*found.text);
    EXPECT_FALSE(found.tokens);
  }
}

TEST_F(DataTest, TokensOfATextAndItsTokenFileAreCountedAlike) {
  const std::string path = write("a.txt", kText), file = folder_ + "/a.tok";
  const auto tokens = read_document_tokens(path, *tokenizer_);
  std::vector<int32_t> ids(static_cast<size_t>(tokens->size()));
  tokens->read(0, ids);
  write_token_file(file, ids, *tokenizer_, tokens->marks());
  for (const std::string& one : {path, file}) {
    ASSERT_TRUE(is_text_file(one));
    const TextStatistics found = text_statistics(one, tokenizer_.get());
    EXPECT_EQ(found.documents, 4);
    EXPECT_EQ(found.tokens, static_cast<int64_t>(ids.size()));
    ASSERT_TRUE(found.token_lengths && found.text);
    EXPECT_EQ(found.token_lengths->shortest,
              static_cast<int64_t>(tokenizer_->encode("caf\u00e9").size()) + 1);
    expect_counts(*found.text);
  }
  const TextStatistics blind = text_statistics(file, nullptr);
  EXPECT_EQ(blind.documents, 4);
  EXPECT_EQ(blind.tokens, static_cast<int64_t>(ids.size()));
  EXPECT_FALSE(blind.text);
}

TEST_F(DataTest, WhatIsNoTextIsNoText) {
  EXPECT_FALSE(is_text_file(write("a.bin", std::string("a\0b", 3))));
  EXPECT_FALSE(is_text_file(write("b.bin", "\xff\xfe")));
  EXPECT_FALSE(is_text_file(write("c.gguf", "GGUF and more")));
  EXPECT_FALSE(is_text_file(folder_));
  // A character that the look cuts.
  EXPECT_TRUE(is_text_file(write("d.txt", std::string(4095, 'x') + "\u00e9")));
  EXPECT_THROW(text_statistics(gzip("e.gz", std::string("a\0b", 3)), nullptr), Error);
  EXPECT_EQ(text_statistics(write("empty.txt", ""), nullptr).documents, 0);
}

}  // namespace
}  // namespace halftone
