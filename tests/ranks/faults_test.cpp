// What ends one rank ends all, with a checkpoint that the run goes on from.
#include "halftone/base/rng.h"
#include "ranks_testing.h"

namespace halftone::testing {
namespace {

constexpr const char* kLong = "max_steps = 60\nsave_steps = 2\n";

class RanksFaultsTest : public RanksTest {
 protected:
  void SetUp() override {
    RanksTest::SetUp();
    ASSERT_EQ(program(run_of(recipe("whole", 2, kLong))).code, 0);
  }

  // Goes on until the end, and holds it against the run of one rank.
  void expect_it_goes_on(const std::string& name) {
    const Output resumed = on_ranks(2, resume_of(name));
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_EQ(digest(name), digest("whole"));
    expect_same_checkpoint(name, "whole");
  }
};

TEST_F(RanksFaultsTest, AKilledRankEndsTheOthers) {
  for (const size_t which : {0, 1}) {
    const std::string name = fmt::format("killed{}", which);
    arguments_ = run_of(recipe(name, 1, kLong));
    const Output out = kill_one(name, which, [&] { return logged(name, 5); });
    EXPECT_NE(out.code, 0);
    EXPECT_FALSE(checkpoint_files(folder_ + "/" + name).empty());
    expect_it_goes_on(name);
  }
}

// Where the launcher does nothing, here because it is stopped, the others find out by themselves.
TEST_F(RanksFaultsTest, TheOthersNoticeWithoutTheLauncher) {
  arguments_ = run_of(recipe("left", 1, kLong));
  std::thread killer([&] {
    while (!logged("left", 5)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const auto ranks = ranks_running();
    if (ranks.size() != 2) return;
    const pid_t launcher = parent_of(ranks[0]);
    kill(launcher, SIGSTOP);
    kill(ranks[1], SIGKILL);
    const auto until = Clock::now() + std::chrono::seconds(30);
    while (!ranks_running().empty() && Clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(ranks_running().empty());
    kill(launcher, SIGCONT);
  });
  const Output out = on_ranks(2, arguments_);
  killer.join();
  EXPECT_NE(out.code, 0);
  EXPECT_NE(out.err.find("halftone: rank 0: rank 1 (process "), std::string::npos) << out.err;
  expect_it_goes_on("left");
}

TEST_F(RanksFaultsTest, ASignalToOneRankIsForAll) {
  for (const auto& [which, signal] :
       {std::pair(size_t{0}, SIGTERM), std::pair(size_t{1}, SIGINT)}) {
    const std::string name = fmt::format("stopped{}", which);
    arguments_ = run_of(recipe(name, 1, "max_steps = 60\n"));
    const Output out = kill_one(
        name, which, [&] { return logged(name, 3); }, signal);
    EXPECT_EQ(out.code, 7) << out.err;
    EXPECT_NE(out.err.find("halftone resume"), std::string::npos) << out.err;
    EXPECT_EQ(checkpoint_files(folder_ + "/" + name).size(), 1u);
    expect_it_goes_on(name);
  }
}

TEST_F(RanksFaultsTest, AFullDiskEndsAllWithFour) {
  const Arguments command = with_program(run_of(recipe("full", 1, kLong)));
  // The first rank's, from the hundredth operation on.
  const Output out = on_each({on_full_disk("full", 100, command), command});
  EXPECT_EQ(out.code, 4) << out.err;
  EXPECT_NE(out.err.find("halftone: rank 0: "), std::string::npos) << out.err;
  EXPECT_NE(out.err.find("No space left"), std::string::npos) << out.err;
  EXPECT_TRUE(ranks_running().empty());
  expect_it_goes_on("full");
}

// The disk of the second rank alone, while it writes its part of the teacher's likeliest tokens.
TEST_F(RanksFaultsTest, AFullDiskOfALaterRankEndsAllWithFour) {
  const auto cached = [&](const std::string& name, int accumulation) {
    Arguments out = run_of(recipe(name, accumulation, kLong));
    out.insert(out.end(), {"--set", "teacher.cache_top_k=4", "--set", "loss.hidden=0"});
    return out;
  };
  const Arguments command = with_program(cached("later", 1));
  const Output out = on_each({command, on_full_disk("", 1, command)});
  EXPECT_EQ(out.code, 4) << out.err;
  EXPECT_NE(out.err.find("halftone: rank 1: "), std::string::npos) << out.err;
  EXPECT_NE(out.err.find("No space left"), std::string::npos) << out.err;
  EXPECT_TRUE(ranks_running().empty());
  ASSERT_EQ(on_ranks(2, resume_of("later")).code, 0);
  ASSERT_EQ(program(cached("alone", 2)).code, 0);
  expect_same_checkpoint("later", "alone");
}

TEST_F(RanksFaultsTest, OtherRecipesAndOtherTextsAreNamedWithTheirRanks) {
  const std::string path = recipe("same", 1, kLong);
  Arguments other = run_of(path);
  other.insert(other.end(), {"--set", "train.learning_rate=0.5"});
  Output out = on_each({with_program(run_of(path)), with_program(other)});
  EXPECT_EQ(out.code, 2) << out.err;
  EXPECT_NE(out.err.find("train.learning_rate: rank 0 has 0.001, rank 1 has 0.5"),
            std::string::npos)
      << out.err;

  std::ofstream(folder_ + "/other.txt")
      << read_whole(HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt") << "more of it";
  other = run_of(path);
  other.insert(other.end(), {"--set", "data.train=[\"" + folder_ + "/other.txt\"]"});
  out = on_each({with_program(run_of(path)), with_program(run_of(path)), with_program(other)});
  EXPECT_EQ(out.code, 3) << out.err;
  EXPECT_NE(out.err.find("data_sha256: "), std::string::npos) << out.err;
  EXPECT_NE(out.err.find("ranks 0, 1 has"), std::string::npos) << out.err;
}

TEST_F(RanksFaultsTest, WhatFailsOnAllIsToldOnce) {
  const Output out = on_ranks(2, {"run", folder_ + "/none.toml"});
  EXPECT_EQ(out.code, exit_code(ErrorKind::recipe)) << out.err;
  EXPECT_EQ(out.err.find("none.toml"), out.err.rfind("none.toml")) << out.err;
}

// Random ranks at random moments.
TEST_F(RanksFaultsTest, SlowAHundredKills) {
  const Arguments begin = run_of(recipe("often", 1, kLong));
  arguments_ = begin;
  Rng rng(static_cast<uint64_t>(Clock::now().time_since_epoch().count()), RngStream::test);
  for (int kills = 0; kills < 100;) {
    const auto at = Clock::now() + std::chrono::milliseconds(200 + rng.below(1500));
    const size_t which = rng.below(2);
    if (kill_one("often", which, [&] { return Clock::now() >= at; }).code != 0) {
      ++kills;
    } else {
      expect_same_checkpoint("often", "whole");
      std::filesystem::remove_all(folder_ + "/often");
    }
    const bool begun = std::filesystem::exists(folder_ + "/often/recipe.toml");
    arguments_ = begun ? resume_of("often") : begin;
  }
  const Output last = on_ranks(2, arguments_);
  ASSERT_EQ(last.code, 0) << last.err;
  expect_same_checkpoint("often", "whole");
}

}  // namespace
}  // namespace halftone::testing
