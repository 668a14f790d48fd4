// R ranks give the bits of one rank with R times the micro-batches.
#include "ranks_testing.h"

namespace halftone::testing {
namespace {

TEST_F(RanksTest, TwoAndFourRanksGiveTheBitsOfTheMicroBatchesInARow) {
  const std::string whole = recipe("whole", 4), two = recipe("two", 2), four = recipe("four", 1);
  ASSERT_EQ(program(run_of(whole)).code, 0);
  for (const auto& [name, path, ranks] : {std::tuple("two", two, 2), std::tuple("four", four, 4)}) {
    const Output run = on_ranks(ranks, run_of(path));
    ASSERT_EQ(run.code, 0) << run.err;
    expect_same_checkpoint(name, "whole");
    EXPECT_EQ(digest(name), digest("whole"));
    EXPECT_EQ(log_of(name), log_of("whole"));
    // One summary, from the first rank.
    EXPECT_EQ(run.out.find("tokens seen"), run.out.rfind("tokens seen"));
  }
}

// Updated values come while the next step begins: each block waits for its own.
TEST_F(RanksTest, ValuesAreWaitedForByThoseWhoReadThem) {
  const auto command = [&](const std::string& name) {
    Arguments out = with_program(run_of(HALFTONE_SOURCE_DIR "/recipes/quickstart/onebit.toml"));
    out.insert(out.end(), {"--run-dir", folder_ + "/" + name, "--set", "train.max_steps=3", "--set",
                           "train.warmup_steps=1", "--set", "train.per_device_train_batch_size=1",
                           "--set", "data.max_seq_length=64", "--set", "eval.context=64", "--set",
                           "eval.max_windows=2"});
    return out;
  };
  const Output prompt = on_each({command("prompt"), command("prompt")});
  ASSERT_EQ(prompt.code, 0) << prompt.err;
  const Arguments late = preloaded(HALFTONE_LATE_MESSAGES, command("late"));
  const Output out = on_each({late, late});
  ASSERT_EQ(out.code, 0) << out.err;
  expect_same_checkpoint("late", "prompt");
}

// Several buckets of gradients, of which one is a single matrix; the teacher's logits from their
// cache, blocks computed again, evaluation in between.
TEST_F(RanksTest, SoItIsOnTheQuickstart) {
  const std::string quickstart = HALFTONE_SOURCE_DIR "/recipes/quickstart/onebit.toml";
  for (const Arguments& more :
       {Arguments{}, Arguments{"--set", "loss.hidden=0", "--set", "teacher.cache_top_k=4", "--set",
                               "train.gradient_checkpointing=true", "--set", "train.eval_steps=1",
                               "--set", "eval.max_windows=3"}}) {
    const auto command = [&](const std::string& name, int accumulation) {
      Arguments out = run_of(quickstart);
      out.insert(out.end(),
                 {"--run-dir", folder_ + "/" + name, "--set", "train.max_steps=2", "--set",
                  "train.warmup_steps=1", "--set", "train.per_device_train_batch_size=1", "--set",
                  "train.logging_steps=1", "--set", "eval.max_windows=2", "--set",
                  "data.max_seq_length=64", "--set", "eval.context=64", "--set",
                  fmt::format("train.gradient_accumulation_steps={}", accumulation)});
      out.insert(out.end(), more.begin(), more.end());
      return out;
    };
    if (!more.empty()) {
      // A text of two parts of the cache.
      std::ofstream(folder_ + "/few.txt")
          << read_whole(HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt").substr(0, 40000);
    }
    const auto run = [&](int ranks, const std::string& name, int accumulation) {
      Arguments arguments = command(name, accumulation);
      if (!more.empty())
        arguments.insert(arguments.end(), {"--set", "data.train=[\"" + folder_ + "/few.txt\"]"});
      const Output out = ranks == 1 ? program(arguments) : on_ranks(ranks, arguments);
      ASSERT_EQ(out.code, 0) << out.err;
      // Each run makes the cache anew.
      for (const auto& entry : std::filesystem::directory_iterator(folder_))
        if (entry.path().filename().string().starts_with("teacher-logits"))
          std::filesystem::remove_all(entry.path());
    };
    run(1, "one", 4);
    run(2, "two", 2);
    run(4, "four", 1);
    for (const char* name : {"two", "four"}) {
      expect_same_checkpoint(name, "one");
      EXPECT_EQ(log_of(name), log_of("one"));
      EXPECT_EQ(digest(name), digest("one"));
    }
    for (const char* name : {"one", "two", "four"})
      std::filesystem::remove_all(folder_ + "/" + name);
  }
}

TEST_F(RanksTest, ARunGoesOnOnOtherNumbersOfRanks) {
  ASSERT_EQ(program(run_of(recipe("whole", 4))).code, 0);
  ASSERT_EQ(on_ranks(2, run_of(recipe("moved", 2))).code, 0);
  const std::string moved = folder_ + "/moved";
  const auto back_to = [&](int step) {
    for (const std::string& file : checkpoint_files(moved))
      if (file > checkpoint_file(moved, step)) std::filesystem::remove(file);
    for (const char* file : {"/model.h5", "/result.json"}) std::filesystem::remove(moved + file);
  };
  back_to(3);
  const Output other = on_ranks(3, resume_of("moved"));
  EXPECT_EQ(other.code, 8) << other.err;
  EXPECT_NE(other.err.find("train.gradient_accumulation_steps"), std::string::npos) << other.err;
  for (const auto& [ranks, accumulation] : {std::pair(4, 1), std::pair(1, 4)}) {
    back_to(3);
    const auto arguments = resume_of(
        "moved", {"--set", fmt::format("train.gradient_accumulation_steps={}", accumulation)});
    const Output run = ranks == 1 ? program(arguments) : on_ranks(ranks, arguments);
    ASSERT_EQ(run.code, 0) << run.err;
    expect_same_checkpoint("moved", "whole");
    EXPECT_EQ(log_of("moved"), log_of("whole"));
  }
}

TEST_F(RanksTest, GeneratedTextAndPretrainingAndPostTrainingToo) {
  const std::string generated = "[data.generate]\nsequences = 6\nbatch_size = 4\n";
  ASSERT_EQ(program(run_of(recipe("alone", 2, "max_steps = 2\n", generated))).code, 0);
  for (const auto& entry : std::filesystem::directory_iterator(folder_))
    if (entry.path().extension() == ".tok") std::filesystem::remove(entry.path());
  ASSERT_EQ(on_ranks(2, run_of(recipe("shared", 1, "max_steps = 2\n", generated))).code, 0);
  expect_same_checkpoint("shared", "alone");

  for (const char* method : {"pretrain", "rtn"}) {
    const auto run = [&](int ranks, const std::string& name, int accumulation) {
      Arguments arguments = run_of(recipe(name, accumulation, "max_steps = 2\n"));
      arguments.insert(arguments.end(), {"--set", std::string("run.method=") + method});
      if (std::string(method) == "pretrain")
        arguments.insert(arguments.end(), {"--set", "teacher.model=" + folder_ + "/config"});
      else
        arguments.insert(arguments.end(), {"--set",
                                           "calibration.text=[\"" HALFTONE_SOURCE_DIR
                                           "/recipes/quickstart/heldout.txt\"]",
                                           "--set", "calibration.num_calibration_samples=4",
                                           "--set", "calibration.max_seq_length=32"});
      const Output out = ranks == 1 ? program(arguments) : on_ranks(ranks, arguments);
      EXPECT_EQ(out.code, 0) << out.err;
    };
    const std::string name = method;
    run(1, name + "-one", 2);
    run(2, name + "-two", 1);
    EXPECT_EQ(digest(name + "-two"), digest(name + "-one"));
  }
}

}  // namespace
}  // namespace halftone::testing
