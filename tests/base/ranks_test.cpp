#include "halftone/base/ranks.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace halftone {
namespace {

TEST(Ranks, OneAloneHasOnlyItself) {
  const Ranks ranks;
  EXPECT_EQ(ranks.size(), 1);
  EXPECT_TRUE(ranks.first());
  EXPECT_TRUE(ranks.alone());
  EXPECT_EQ(ranks.gather("own"), std::vector<std::string>{"own"});
  const std::vector<double> numbers{0.5, -0.0};
  EXPECT_EQ(ranks.gather(numbers), std::vector<std::vector<double>>(1, numbers));
  EXPECT_TRUE(ranks.any(true));
  EXPECT_FALSE(ranks.any(false));
  ranks.finish();
}

// As it was thrown: nobody else has to hear of it.
TEST(Ranks, OneAloneThrowsWhatItThrows) {
  const Ranks ranks;
  EXPECT_THROW(ranks.together([] { throw std::out_of_range("x"); }), std::out_of_range);
  int calls = 0;
  ranks.together([&] { ++calls; });
  ranks.first_does([&] { ++calls; });
  EXPECT_EQ(calls, 2);
}

TEST(Ranks, TheyAreNamedInMessages) {
  EXPECT_EQ(ranks_text({3}), "rank 3");
  EXPECT_EQ(ranks_text({0, 2, 5}), "ranks 0, 2, 5");
}

TEST(Ranks, WithoutALauncherAProcessIsAlone) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"})
    if (std::getenv(name)) GTEST_SKIP() << name << " is set";
  EXPECT_TRUE(Ranks::of_launcher().alone());
}

}  // namespace
}  // namespace halftone
