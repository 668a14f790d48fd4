// A run directory is whole, and goes on wherever it and what it reads are moved.
#include <fmt/format.h>

#include "app/program_testing.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

class MovedRunTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    make_teacher();
    write_recipe_file("r", "max_steps = 4\nsave_steps = 1\n", "lr_scheduler_type = \"constant\"\n");
  }
  int steps_logged(const std::string& name) const {
    const std::string log = read_whole(folder_ + "/" + name + "/log.jsonl");
    return static_cast<int>(std::count(log.begin(), log.end(), '\n'));
  }
  Output run(int steps) {
    return program(
        {"run", folder_ + "/r.toml", "--quiet", "--set", fmt::format("train.max_steps={}", steps)});
  }
};

TEST_F(MovedRunTest, AloneItGoesOnWhereItsTeacherStayed) {
  ASSERT_EQ(run(4).code, 0);
  const std::string whole = digest("r");
  fs::remove_all(folder_ + "/r");
  ASSERT_EQ(run(2).code, 0);
  fs::create_directories(folder_ + "/elsewhere");
  fs::rename(folder_ + "/r", folder_ + "/elsewhere/moved");
  const Output got =
      program({"resume", folder_ + "/elsewhere/moved", "--quiet", "--set", "train.max_steps=4"});
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_EQ(digest("elsewhere/moved"), whole);
}

TEST_F(MovedRunTest, PlannedByEpochsItTakesANumberOfSteps) {
  std::ofstream(folder_ + "/r.toml", std::ios::app) << "";
  ASSERT_EQ(
      program({"run", folder_ + "/r.toml", "--quiet", "--set", "train.num_train_epochs=0.002"})
          .code,
      0);
  const Output got = program({"resume", folder_ + "/r", "--quiet", "--set", "train.max_steps=9"});
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_NE(read_whole(folder_ + "/r/recipe.toml").find("num_train_epochs = 0.0"),
            std::string::npos);
  EXPECT_EQ(steps_logged("r"), 9);
}

TEST_F(MovedRunTest, ADamagedCheckpointDoesNotDoubleTheLog) {
  ASSERT_EQ(run(4).code, 0);
  const std::string whole = digest("r");
  for (const auto& entry : fs::directory_iterator(folder_ + "/r"))
    if (entry.path().filename().string().starts_with("step-"))
      std::fstream(entry.path(), std::ios::in | std::ios::out).seekp(500).put('x');
  const Output got = program({"resume", folder_ + "/r", "--quiet"});
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_NE(got.err.find("skipped a damaged checkpoint"), std::string::npos) << got.err;
  EXPECT_EQ(digest("r"), whole);
  EXPECT_EQ(steps_logged("r"), 4);
}

TEST_F(MovedRunTest, ARunThatWasKilledBeforeItsFirstCheckpointStartsTheLogAnew) {
  fs::create_directories(folder_ + "/r");
  std::ofstream(folder_ + "/r/recipe.toml") << "";
  std::ofstream(folder_ + "/r/log.jsonl") << "{\"step\":1}\n{\"step\":2";
  ASSERT_EQ(run(3).code, 0);
  EXPECT_EQ(steps_logged("r"), 3);
}

TEST_F(MovedRunTest, ItsCheckpointsCountByTimeToo) {
  const Output got =
      program({"run", folder_ + "/r.toml", "--quiet", "--set", "train.save_steps=0", "--set",
               "train.save_minutes=1e-7", "--set", "train.save_total_limit=100"});
  ASSERT_EQ(got.code, 0) << got.err;
  for (const char* step : {"1", "2", "3", "4"})
    EXPECT_TRUE(fs::exists(folder_ + "/r/step-0000000" + step + ".h5")) << step;
}

TEST_F(MovedRunTest, WhatDiffersIsNamedWithBothValues) {
  ASSERT_EQ(run(2).code, 0);
  const Output got = program({"resume", folder_ + "/r", "--quiet", "--set", "train.max_steps=4",
                              "--set", "train.adam_beta1=0.5", "--set", "loss.kl=2.0"});
  EXPECT_EQ(got.code, 8);
  EXPECT_NE(got.err.find("train.adam_beta1 was 0.9, this run has 0.5"), std::string::npos)
      << got.err;
  EXPECT_NE(got.err.find("loss.kl was 5"), std::string::npos) << got.err;
  EXPECT_EQ(got.err.find("teacher.model"), std::string::npos) << got.err;
}

TEST_F(MovedRunTest, WithoutItsTeacherItIsStillAModel) {
  ASSERT_EQ(
      program({"run", folder_ + "/r.toml", "--quiet", "--set", "student.post_layer_norm=false"})
          .code,
      0);
  const std::vector<std::string> prompt{"--prompt", "Once", "--tokens", "8", "--temperature", "0"};
  const auto generated = [&](const std::string& model) {
    std::vector<std::string> arguments{"generate", model};
    arguments.insert(arguments.end(), prompt.begin(), prompt.end());
    const Output got = program(arguments);
    EXPECT_EQ(got.code, 0) << got.err;
    return got.out;
  };
  const std::string before = generated(folder_ + "/r");
  fs::remove_all(folder_ + "/teacher");
  fs::remove_all(folder_ + "/config");
  EXPECT_EQ(generated(folder_ + "/r"), before);
  EXPECT_EQ(generated(folder_ + "/r/model.h5"), before);
  ASSERT_EQ(program({"export", folder_ + "/r", "--out", folder_ + "/dense"}).code, 0);
  EXPECT_EQ(generated(folder_ + "/dense"), before);
}

TEST_F(MovedRunTest, ItsNewestWholeCheckpointIsTheModelWhileThereIsNoOther) {
  ASSERT_EQ(run(4).code, 0);
  fs::remove(folder_ + "/r/model.h5");
  std::fstream(folder_ + "/r/step-00000004.h5", std::ios::in | std::ios::out).seekp(500).put('x');
  const Output got = program({"generate", folder_ + "/r", "--prompt", "Once", "--tokens", "2"});
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_NE(got.err.find("step-00000004.h5"), std::string::npos) << got.err;
}

}  // namespace
}  // namespace halftone
