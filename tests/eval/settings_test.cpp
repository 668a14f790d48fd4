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

}  // namespace
}  // namespace halftone
