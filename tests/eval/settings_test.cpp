#include "halftone/eval/settings.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

TEST(EvalSettings, APredictionIsScoredForEveryTokenButTheFirstOrOfTheSecondHalf) {
  EXPECT_EQ(window_predictions({.context = 2048}), 2047);
  EXPECT_EQ(window_predictions({.context = 2048, .protocol = Protocol::llamacpp}), 1023);
  EXPECT_EQ(window_predictions({.context = 5, .protocol = Protocol::llamacpp}), 2);
  EXPECT_EQ(window_predictions({.context = 2, .protocol = Protocol::llamacpp}), 0);
}

TEST(EvalSettings, ATextIsCalledAsItsFileWhereItHasNoNameOfItsOwn) {
  EvalSettings s;
  EXPECT_TRUE(texts_of(s).empty());
  s.text = "a/wiki.test.raw";
  ASSERT_EQ(texts_of(s).size(), 1u);
  EXPECT_EQ(texts_of(s)[0].name, "wiki.test");
  s.texts = {{.name = "own", .text = "b/x.txt"}, {.text = "b/natural.txt.gz"}};
  ASSERT_EQ(texts_of(s).size(), 2u);
  EXPECT_EQ(texts_of(s)[0].name, "own");
  EXPECT_EQ(texts_of(s)[1].name, "natural");
  EXPECT_EQ(name_given_twice(texts_of(s)), "");
  s.texts[0].name = "natural";
  EXPECT_EQ(name_given_twice(texts_of(s)), "natural");
}

}  // namespace
}  // namespace halftone
