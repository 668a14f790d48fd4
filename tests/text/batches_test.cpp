#include "halftone/text/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <vector>

namespace halftone {
namespace {

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

TEST(Batches, WhatIsPassedOverIsNotGiven) {
  const TokenSequences sequences({0, 1, 2, 3, 4, 5, 6}, 1);
  Batches whole(sequences, 2, 9), parts(sequences, 2, 9);
  for (int i = 0; i < 4; ++i) {
    whole.next();
    const std::vector<int32_t> second = whole.next();
    whole.next();
    parts.skip(1);
    EXPECT_EQ(parts.next(), second) << i;
    EXPECT_EQ(parts.given(), std::vector<int64_t>(second.begin(), second.end()));
    parts.skip(1);
    EXPECT_EQ(parts.cursor(), whole.cursor());
  }
}

TEST(Batches, NoPlaceBeyondTheEpochIsTaken) {
  const TokenSequences sequences(std::vector<int32_t>(7, 1), 1);
  Batches batches(sequences, 2, 9);
  batches.seek({3, 7});  // the end: the next one is of the following epoch
  batches.next();
  EXPECT_EQ(batches.cursor(), (Cursor{4, 2}));
  EXPECT_THROW(batches.seek({3, 8}), std::invalid_argument);
  EXPECT_THROW(batches.seek({-1, 0}), std::invalid_argument);
  EXPECT_THROW(Batches(sequences, 0, 9), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
