// Students that start on calibration windows.
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "app/program_testing.h"

namespace halftone {
namespace {

const std::string kCalibration =
    "[calibration]\ntext = [\"" HALFTONE_SOURCE_DIR
    "/recipes/quickstart/heldout.txt\"]\nnum_calibration_samples = 6\nmax_seq_length = 32\n";
const std::string kStudent =
    "[student]\npost_layer_norm = false\nfoldable = true\nstart = \"arb-rc\"\n";
const std::string kWarmStart = "[warm_start]\nsteps = 40\nlearning_rate = 4e-3\n";

class StartTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    make_teacher();
  }

  std::string recipe(const std::string& name, const std::string& more) const {
    return write_recipe_file(name, "max_steps = 4\nsave_steps = 1\n", more);
  }
  std::vector<std::string> log(const std::string& name) const {
    std::istringstream in(read_whole(folder_ + "/" + name + "/log.jsonl"));
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }
  size_t starts(const std::string& name) const {
    size_t count = 0;
    for (const std::string& line : log(name)) count += line.find("warm_start") != line.npos;
    return count;
  }
  nlohmann::json result(const std::string& name) const {
    return nlohmann::json::parse(read_whole(folder_ + "/" + name + "/result.json"));
  }
};

TEST_F(StartTest, BothStartsTogetherAreReportedAndRepeat) {
  for (const char* name : {"one", "two"}) {
    const Output run =
        program({"run", recipe(name, kStudent + kWarmStart + kCalibration), "--quiet"});
    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_EQ(run.err.find("warning"), run.err.npos) << run.err;
  }
  EXPECT_EQ(digest("one"), digest("two"));
  const nlohmann::json blocks = result("one").at("warm_start").at("blocks");
  ASSERT_EQ(blocks.size(), 2u);
  for (const auto& block : blocks) {
    EXPECT_LT(block.at("after").get<double>(), block.at("before").get<double>());
    EXPECT_TRUE(block.at("kept").get<bool>());
  }
  EXPECT_EQ(starts("one"), 2u);
  EXPECT_EQ(log("one").size(), 6u);
}

TEST_F(StartTest, EachStartIsAnother) {
  std::set<std::string> digests;
  for (const std::string& student : {std::string(), kStudent})
    for (const std::string& warm : {std::string(), kWarmStart}) {
      const std::string name = "run" + std::to_string(digests.size()),
                        plain = "[student]\npost_layer_norm = false\nfoldable = true\n";
      const Output run =
          program({"run",
                   recipe(name, (student.empty() ? plain : student) + warm +
                                    (student.empty() && warm.empty() ? "" : kCalibration)),
                   "--quiet"});
      ASSERT_EQ(run.code, 0) << run.err;
      EXPECT_EQ(result(name).contains("warm_start"), !warm.empty());
      digests.insert(digest(name));
    }
  EXPECT_EQ(digests.size(), 4u);
}

TEST_F(StartTest, InterruptedItStartsAgainToTheSameBits) {
  const std::string more = kStudent + kWarmStart + kCalibration;
  ASSERT_EQ(program({"run", recipe("whole", more), "--quiet"}).code, 0);
  const Output stopped =
      program({"run", recipe("long", more), "--quiet", "--set", "warm_start.steps=10000000"},
              SIGTERM, [&] { return std::filesystem::exists(folder_ + "/long/tokenizer.json"); });
  EXPECT_EQ(stopped.code, 7) << stopped.err;
  // The first block's line is in the log: the second is trained then, or the run is in its steps.
  program({"run", recipe("killed", more), "--quiet"}, SIGKILL,
          [&] { return !log("killed").empty(); });
  const Output resumed = program({"resume", folder_ + "/killed", "--quiet"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(digest("killed"), digest("whole"));
  EXPECT_EQ(starts("killed"), 2u);
  EXPECT_EQ(result("killed").at("warm_start").at("blocks").size(), 2u);
}

TEST_F(StartTest, WhatItBroughtIsKnownAfterAResume) {
  const std::string more = kStudent + kWarmStart + kCalibration;
  ASSERT_EQ(program({"run", recipe("run", more), "--quiet"}).code, 0);
  nlohmann::json before = result("run").at("warm_start");
  ASSERT_EQ(program({"resume", folder_ + "/run", "--quiet", "--set", "train.max_steps=6"}).code, 0);
  EXPECT_EQ(result("run").at("warm_start"), before);
  EXPECT_EQ(starts("run"), 2u);
}

TEST_F(StartTest, CheckNamesIt) {
  const Output both = program({"check", recipe("run", kStudent + kWarmStart + kCalibration)});
  ASSERT_EQ(both.code, 0) << both.err;
  EXPECT_NE(both.out.find("# start              arb-rc on 6 windows of 32 tokens, then 40 steps a "
                          "block on 2 of them"),
            both.out.npos)
      << both.out;
  const Output none = program({"check", recipe("run", "")});
  EXPECT_EQ(none.out.find("# start"), none.out.npos);
}

TEST_F(StartTest, WithoutTextToCalibrateOnItIsRefused) {
  for (const std::string& more : {kStudent, kWarmStart}) {
    const Output run = program({"check", recipe("run", more)});
    EXPECT_EQ(run.code, 2);
    EXPECT_NE(run.err.find("calibration.text: missing"), run.err.npos) << run.err;
  }
}

}  // namespace
}  // namespace halftone
