// Post-training methods: R ranks give the bits of one.
#include "ranks_testing.h"

namespace halftone::testing {
namespace {

class RanksQuantisingTest : public RanksTest {
 protected:
  // Five parts of the calibration, of which the last is shorter.
  Arguments quantise(const std::string& name, const std::string& method,
                     const Arguments& more = {}) const {
    Arguments out = run_of(recipe(name, 1, "max_steps = 2\n",
                                  "[calibration]\ntext = [\"" HALFTONE_SOURCE_DIR
                                  "/recipes/quickstart/heldout.txt\"]\n"
                                  "num_calibration_samples = 70\nmax_seq_length = 128\n"));
    out.insert(out.end(), {"--set", "run.method=" + method});
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  // The last block's file, the model and the log.
  void expect_the_same(const std::string& name, const std::string& one) const {
    expect_same_checkpoint(name, one);
    EXPECT_EQ(digest(name), digest(one));
    EXPECT_EQ(log_of(name), log_of(one));
  }

  void expect_ranks_give_the_bits_of_one(const std::string& method, const Arguments& more = {}) {
    ASSERT_EQ(program(quantise("one", method, more)).code, 0) << read_whole(folder_ + "/stderr");
    for (const int ranks : {2, 3}) {
      const std::string name = fmt::format("of{}", ranks);
      const Output out = on_ranks(ranks, quantise(name, method, more));
      ASSERT_EQ(out.code, 0) << out.err;
      expect_the_same(name, "one");
    }
  }
};

TEST_F(RanksQuantisingTest, GptqGivesTheBitsOfOne) {
  expect_ranks_give_the_bits_of_one("gptq");
}

TEST_F(RanksQuantisingTest, BillmGivesTheBitsOfOne) {
  expect_ranks_give_the_bits_of_one("billm");
}

TEST_F(RanksQuantisingTest, ArbRcGivesTheBitsOfOne) {
  expect_ranks_give_the_bits_of_one("arb-rc");
}

TEST_F(RanksQuantisingTest, GroupsInTurnAndNormTweakingToo) {
  expect_ranks_give_the_bits_of_one(
      "gptq", {"--set", "ptq.true_sequential=true", "--set", "ptq.norm_tweak.learning_rate=1e-3"});
}

// A part is a sequence, of two products then; the third rank has none.
TEST_F(RanksQuantisingTest, SequencesOfMoreTokensThanAProductToo) {
  expect_ranks_give_the_bits_of_one("gptq", {"--set", "calibration.max_seq_length=2500", "--set",
                                             "calibration.num_calibration_samples=2"});
}

// On the quickstart, whose blocks take a while.
class RanksQuantisingFaultsTest : public RanksQuantisingTest {
 protected:
  Arguments quickstart(const std::string& name) const {
    Arguments out = run_of(HALFTONE_SOURCE_DIR "/recipes/quickstart/gptq-3.toml");
    out.insert(out.end(),
               {"--run-dir", folder_ + "/" + name, "--set",
                "calibration.num_calibration_samples=24", "--set", "eval.max_windows=1"});
    return out;
  }

  // On another number of ranks.
  void expect_it_goes_on(const std::string& name) const {
    ASSERT_EQ(program(quickstart("whole")).code, 0);
    const Output resumed = on_ranks(3, resume_of(name));
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    expect_the_same(name, "whole");
  }
};

TEST_F(RanksQuantisingFaultsTest, ASignalToOneRankEndsAllBehindTheBlock) {
  arguments_ = quickstart("stopped");
  const Output out = kill_one(
      "stopped", 1, [&] { return logged("stopped"); }, SIGINT);
  EXPECT_EQ(out.code, 7) << out.err;
  EXPECT_EQ(checkpoint_files(folder_ + "/stopped").size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/stopped/model.h5"));  // blocks were left
  expect_it_goes_on("stopped");
}

TEST_F(RanksQuantisingFaultsTest, AKilledRankEndsTheOthers) {
  arguments_ = quickstart("killed");
  EXPECT_NE(kill_one("killed", 1, [&] { return logged("killed"); }).code, 0);
  expect_it_goes_on("killed");
}

TEST_F(RanksQuantisingFaultsTest, AFullDiskEndsAllWithFour) {
  const Arguments command = with_program(quickstart("full"));
  // The disk of the first rank is full while it saves the second block.
  const Output out = on_each({on_full_disk("full", 120, command), command});
  EXPECT_EQ(out.code, 4) << out.err;
  EXPECT_NE(out.err.find("halftone: rank 0: "), std::string::npos) << out.err;
  EXPECT_TRUE(ranks_running().empty());
  EXPECT_EQ(checkpoint_files(folder_ + "/full").size(), 1u);
  expect_it_goes_on("full");
}

}  // namespace
}  // namespace halftone::testing
