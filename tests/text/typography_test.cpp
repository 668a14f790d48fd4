#include "halftone/text/typography.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

TEST(Typography, SetsMarksApart) {
  EXPECT_EQ(
      wikitext_typography("Homarus, known as the \u201clobster\u201d (24 in; 6 kg), lives here."),
      " Homarus , known as the \" lobster \" ( 24 in ; 6 kg ) , lives here . \n");
}

TEST(Typography, MarksWhatStandsWithinWordsAndNumbers) {
  EXPECT_EQ(wikitext_typography("A well-known 1,234.5 m tower, 2-3 km off."),
            " A well @-@ known 1 @,@ 234 @.@ 5 m tower , 2 @-@ 3 km off . \n");
}

TEST(Typography, PartsAtApostrophes) {
  EXPECT_EQ(wikitext_typography("It\u2019s the dogs' tail; don't."),
            " It 's the dogs ' tail ; don 't . \n");
}

TEST(Typography, KeepsPointsOfAbbreviations) {
  EXPECT_EQ(wikitext_typography("In the U.S. Mr. J. Smith, e.g. here, left... He came."),
            " In the U.S. Mr . J. Smith , e.g. here , left ... He came . \n");
}

TEST(Typography, MakesShortLinesTitles) {
  EXPECT_EQ(wikitext_typography("European lobster\n\nIt is a lobster.\n\nDescription\nIt is blue."),
            " \n = European lobster = \n \n It is a lobster . \n \n = = Description = = \n \n"
            " It is blue . \n");
}

TEST(Typography, OfNothingIsNothing) {
  EXPECT_EQ(wikitext_typography(""), "");
  EXPECT_EQ(wikitext_typography("\n \n"), "");
}

}  // namespace
}  // namespace halftone
