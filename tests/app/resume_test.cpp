// A run of N steps is k steps, an interruption and a resume, bit for bit.
#include "app/program_testing.h"
#include "halftone/base/rng.h"
#include "halftone/io/checkpoint_file.h"

namespace halftone {
namespace {

constexpr const char* kSteps = "max_steps = 40\nsave_steps = 1\n";

class ResumeTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    make_teacher();
  }

  // Milliseconds that an uninterrupted run takes.
  int run_whole(const std::string& name) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(program({"run", write_recipe_file(name, kSteps), "--quiet"}).code, 0);
    return static_cast<int>(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
};

TEST_F(ResumeTest, KilledThreeTimesItEndsWithTheSameBits) {
  const int whole = run_whole("whole");
  Rng rng(static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()),
          RngStream::test);
  const std::string recipe = write_recipe_file("killed", kSteps);
  std::vector<std::string> arguments{"run", recipe, "--quiet"};
  for (int kill = 0; kill < 3; ++kill) {
    const auto at =
        std::chrono::steady_clock::now() +
        std::chrono::milliseconds(rng.below(static_cast<uint64_t>(std::max(whole / 2, 1))) + 1);
    program(arguments, SIGKILL, [&] { return std::chrono::steady_clock::now() >= at; });
    if (std::filesystem::exists(folder_ + "/killed/recipe.toml"))
      arguments = {"resume", folder_ + "/killed", "--quiet"};
  }
  std::ofstream(folder_ + "/killed/step-00000099.h5.tmp.1") << "left by a killed writer";
  const Output last = program(arguments);
  ASSERT_EQ(last.code, 0) << last.err;
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/killed/step-00000099.h5.tmp.1"));
  EXPECT_EQ(digest("killed"), digest("whole"));
}

TEST_F(ResumeTest, ATerminatedRunSavesAndExitsWithSeven) {
  run_whole("whole");
  // The signal goes out when the log has its first step: the run is in its loop then.
  const std::string recipe = write_recipe_file("stopped", "max_steps = 40\n");
  const Output stopped = program({"run", recipe, "--quiet"}, SIGTERM, [&] {
    return !read_whole(folder_ + "/stopped/log.jsonl").empty();
  });
  ASSERT_EQ(stopped.code, 7) << stopped.err;
  EXPECT_NE(stopped.err.find("halftone resume"), std::string::npos);
  ASSERT_EQ(program({"resume", folder_ + "/stopped", "--quiet"}).code, 0);
  EXPECT_EQ(digest("stopped"), digest("whole"));
}

// timeout(1) signals the program and then the group that both are in: one request, twice.
TEST_F(ResumeTest, ARunThatTimeoutEndsSavesToo) {
  const std::string recipe = write_recipe_file("timed", "max_steps = 1000000\n");
  const Output stopped =
      shell("timeout --preserve-status -s INT 2 \"$H\" run " + recipe + " --quiet");
  EXPECT_EQ(stopped.code, 7) << stopped.err;
  EXPECT_NE(stopped.err.find("halftone resume"), std::string::npos) << stopped.err;
}

TEST_F(ResumeTest, HowOftenItSavesDoesNotMatter) {
  run_whole("whole");
  for (const char* save : {"save_steps = 7\n", ""}) {
    ASSERT_EQ(
        program({"run", write_recipe_file("other", "max_steps = 40\n", save), "--quiet"}).code, 0);
    EXPECT_EQ(digest("other"), digest("whole")) << save;
    std::filesystem::remove_all(folder_ + "/other");
  }
}

// Students without an input scale, and text of several sources.
TEST_F(ResumeTest, StudentsAndTextsOfOtherKindsEndWithTheSameBits) {
  const std::string train =
                        "train = [\"" HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt\"]\n",
                    source = "[[data.source]]\npath = \"" HALFTONE_SOURCE_DIR
                             "/recipes/quickstart/heldout.txt\"\n";
  for (const auto& [student, data] : std::map<std::string, std::string>{
           {"scale_group = 32\n", train},
           {"foldable = true\n",
            "held_out = 0.2\n" + source + source + "typography = \"wikitext\"\nweight = 2\n"}}) {
    const std::string recipe = write_recipe_file("scaled", "max_steps = 6\nsave_steps = 3\n",
                                                 "[student]\npost_layer_norm = false\n" + student +
                                                     "[eval]\ncontext = 32\nmax_windows = 1\n",
                                                 data);
    ASSERT_EQ(program({"run", recipe, "--quiet"}).code, 0);
    const std::string model = digest("scaled"), last = digest("scaled/step-00000006.h5");
    for (const char* file : {"step-00000006.h5", "model.h5", "result.json"})
      ASSERT_TRUE(std::filesystem::remove(folder_ + "/scaled/" + file)) << file;
    const Output resumed = program({"resume", folder_ + "/scaled", "--quiet"});
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_EQ(digest("scaled"), model) << student;
    EXPECT_EQ(digest("scaled/step-00000006.h5"), last) << student;
    std::filesystem::remove_all(folder_ + "/scaled");
  }
}

TEST_F(ResumeTest, ADamagedCheckpointIsNamedAndTheOneBeforeItTaken) {
  run_whole("whole");
  const std::string recipe = write_recipe_file("damaged", "max_steps = 10\nsave_steps = 5\n");
  ASSERT_EQ(program({"run", recipe, "--quiet"}).code, 0);
  const std::string before = digest("damaged"), newest = folder_ + "/damaged/step-00000010.h5";
  std::string bytes = read_whole(newest);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(newest, std::ios::binary) << bytes;
  const Output resumed = program({"resume", folder_ + "/damaged", "--quiet"});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("step-00000010.h5"), std::string::npos) << resumed.err;
  EXPECT_EQ(digest("damaged"), before);
}

// A seal says that a file is as it was written, not that Halftone wrote it.
TEST_F(ResumeTest, AWholeCheckpointOfOtherContentIsRefused) {
  const std::string recipe = write_recipe_file("made", "max_steps = 4\nsave_steps = 2\n");
  ASSERT_EQ(program({"run", recipe, "--quiet"}).code, 0);
  const std::string path = folder_ + "/made/step-00000004.h5";
  const CheckpointContent whole = read_checkpoint_file(path);
  for (const auto& [key, value] : std::map<std::string, std::string>{
           {"position", "1000000"}, {"epoch", "-1"}, {"step", "x"}, {"skipped", ""}}) {
    CheckpointContent content = whole;
    content.meta[key] = value;
    if (key == "skipped") content.meta.erase(key);
    write_checkpoint_file(path, content);
    const Output resumed = program({"resume", folder_ + "/made", "--quiet"});
    EXPECT_EQ(resumed.code, 8) << key << resumed.err;
    const char* named = key == "position" ? "1000000" : key.c_str();
    EXPECT_NE(resumed.err.find(named), std::string::npos) << resumed.err;
  }
}

TEST_F(ResumeTest, ARunKilledWhileItWroteItsRecipeIsStartedAgain) {
  const std::string recipe = write_recipe_file("begun", "max_steps = 1\n");
  std::filesystem::create_directory(folder_ + "/begun");
  std::ofstream(folder_ + "/begun/.lock") << 1;
  std::ofstream(folder_ + "/begun/recipe.toml.tmp.1") << "half of";
  const Output begun = program({"run", recipe, "--quiet"});
  EXPECT_EQ(begun.code, 0) << begun.err;
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/begun/recipe.toml.tmp.1"));
}

// What is no result that Halftone wrote is no model either.
TEST_F(ResumeTest, AResultOfAnotherProgramIsRefused) {
  const std::string directory = folder_ + "/other-program";
  std::filesystem::create_directory(directory);
  for (const char* result : {"[]", "{\"method\": 5}", "{\"method\": \"none\", \"teacher\": []}",
                             "{\"method\": \"none\", \"teacher\": {\"path\": {}}}"}) {
    std::ofstream(directory + "/result.json") << result;
    const Output out = program({"eval", directory, "--text", folder_ + "/text.txt"});
    EXPECT_EQ(out.code, 3) << result << out.err;
  }
}

TEST_F(ResumeTest, AResumeThatCannotBeExactIsRefused) {
  const std::string recipe = write_recipe_file("other", "max_steps = 4\nsave_steps = 2\n");
  ASSERT_EQ(program({"run", recipe, "--quiet"}).code, 0);
  const Output changed =
      program({"resume", folder_ + "/other", "--set", "train.learning_rate=2e-3"});
  EXPECT_EQ(changed.code, 8) << changed.err;
  const Output threads = program({"resume", folder_ + "/other", "--set", "run.threads=1"});
  EXPECT_EQ(threads.code, 8) << threads.err;
  EXPECT_NE(threads.err.find("threads"), std::string::npos);
  EXPECT_EQ(program({"resume", folder_ + "/other", "--quiet", "--allow-inexact", "--set",
                     "run.threads=1"})
                .code,
            0);
}

}  // namespace
}  // namespace halftone
