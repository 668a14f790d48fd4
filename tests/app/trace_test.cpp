// run.trace_steps of one process; tests/ranks/trace_test.cpp has it of several.
#include "app/trace_testing.h"
#include "halftone/io/checkpoint_file.h"

namespace halftone::testing {
namespace {

class TraceTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    make_teacher();
  }

  Output run(const std::string& name, int traced, const std::string& train,
             const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"run", write_recipe_file(name, train), "--quiet", "--set",
                                       "run.trace_steps=" + std::to_string(traced)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return program(arguments);
  }
};

using Names = std::set<std::string>;

TEST_F(TraceTest, AStepGoesByPhases) {
  const Output out = run("traced", 2, "max_steps = 6\ngradient_accumulation_steps = 2\n");
  ASSERT_EQ(out.code, 0) << out.err;
  auto trace = read_trace(folder_ + "/traced/trace.json", 0);
  EXPECT_EQ(names_of(trace["steps"]), (Names{"step 4", "step 5"}));
  EXPECT_EQ(names_of(trace["compute"]),
            (Names{"data", "teacher", "forward", "loss", "backward", "optimizer"}));
  EXPECT_FALSE(trace.contains("exchange"));
  EXPECT_EQ(std::ranges::count(trace["compute"], "data", &TracedEvent::name), 2 * 2);
  // Compute is all of a step but its first moments.
  double computed = 0, stepped = 0;
  for (const TracedEvent& phase : trace["compute"]) computed += phase.end - phase.begin;
  for (const TracedEvent& step : trace["steps"]) stepped += step.end - step.begin;
  EXPECT_GT(computed, 0.9 * stepped);

  const auto result = nlohmann::json::parse(read_whole(folder_ + "/traced/result.json"));
  EXPECT_EQ(result["trace"]["steps"], 2);
  EXPECT_NEAR(result["trace"]["step_seconds"], 1e-6 * stepped / 2, 1e-8);
  EXPECT_FALSE(result["trace"].contains("exchange"));
  EXPECT_NE(out.out.find("  trace        2 steps of "), std::string::npos) << out.out;
}

TEST_F(TraceTest, ChangesNoBit) {
  ASSERT_EQ(run("plain", 0, "max_steps = 6\n").code, 0);
  ASSERT_EQ(run("traced", 2, "max_steps = 6\n").code, 0);
  EXPECT_EQ(digest("traced"), digest("plain"));
  EXPECT_TRUE(read_whole(checkpoint_file(folder_ + "/traced", 6)) ==
              read_whole(checkpoint_file(folder_ + "/plain", 6)));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/plain/trace.json"));
}

// A resumed run is traced from its own fourth step on, as far as it goes.
TEST_F(TraceTest, IsOfEachSitting) {
  ASSERT_EQ(run("again", 0, "max_steps = 4\n").code, 0);
  ASSERT_EQ(program({"resume", folder_ + "/again", "--quiet", "--set", "train.max_steps=9", "--set",
                     "run.trace_steps=50"})
                .code,
            0);
  auto trace = read_trace(folder_ + "/again/trace.json", 0);
  EXPECT_EQ(names_of(trace["steps"]), (Names{"step 8", "step 9"}));
}

TEST_F(TraceTest, IsRefusedWhereThereIsNothingToTrace) {
  const Output few = run("few", 2, "max_steps = 3\n");
  EXPECT_EQ(few.code, 2);
  EXPECT_NE(few.err.find("run.trace_steps: found 2 beside train.max_steps = 3"), std::string::npos)
      << few.err;
  const Output none = run("none", 2, "max_steps = 9\n", {"--set", "run.method=none"});
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.err.find("run.trace_steps: found 2, 0 expected: the method none has no training"),
            std::string::npos)
      << none.err;
}

}  // namespace
}  // namespace halftone::testing
