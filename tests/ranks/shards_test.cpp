// Blocks in parts (train.shard_parameters): the bits of whole ones, in less memory.
#include <atomic>
#include <sstream>

#include "halftone/base/threads.h"
#include "halftone/model/build.h"
#include "halftone/model/plan.h"
#include "halftone/model/spec.h"
#include "halftone/tensor/memory.h"
#include "halftone/train/trainer.h"
#include "ranks_testing.h"

namespace halftone::testing {
namespace {

class RanksShardsTest : public RanksTest {
 protected:
  static Arguments in_parts(Arguments arguments, bool parts = true) {
    arguments.insert(arguments.end(), {"--set", fmt::format("train.shard_parameters={}", parts)});
    return arguments;
  }
  static constexpr const char* kTrain =
      "max_steps = 5\nsave_steps = 1\nsave_total_limit = 9\ngradient_checkpointing = true\n";
};

// The quickstart's matrices are of several parts each. Windows in between are not as many as ranks.
TEST_F(RanksShardsTest, BlocksInPartsGiveTheBitsOfWholeOnes) {
  const auto run = [&](const std::string& name, int ranks, bool parts) {
    const Arguments arguments{"run",
                              HALFTONE_SOURCE_DIR "/recipes/quickstart/onebit.toml",
                              "--quiet",
                              "--run-dir",
                              folder_ + "/" + name,
                              "--set",
                              "run.threads=1",
                              "--set",
                              "train.max_steps=2",
                              "--set",
                              "train.warmup_steps=1",
                              "--set",
                              "train.per_device_train_batch_size=1",
                              "--set",
                              "train.logging_steps=1",
                              "--set",
                              "train.eval_steps=1",
                              "--set",
                              "train.gradient_checkpointing=true",
                              "--set",
                              "eval.max_windows=3",
                              "--set",
                              "data.max_seq_length=64",
                              "--set",
                              "eval.context=64",
                              "--set",
                              fmt::format("train.gradient_accumulation_steps={}", 4 / ranks)};
    const Output out =
        ranks == 1 ? program(arguments) : on_ranks(ranks, in_parts(arguments, parts));
    ASSERT_EQ(out.code, 0) << out.err;
  };
  run("one", 1, false);
  run("whole", 2, false);
  run("two", 2, true);
  run("four", 4, true);
  for (const char* name : {"whole", "two", "four"}) {
    expect_same_checkpoint(name, "one");
    EXPECT_EQ(digest(name), digest("one")) << name;
    EXPECT_EQ(log_of(name), log_of("one")) << name;
  }
}

TEST_F(RanksShardsTest, SoDoPretrainingAndOneRankThatIsToldToo) {
  for (const auto& [name, ranks] : {std::pair("alone", 1), std::pair("three", 3)}) {
    Arguments arguments = in_parts(run_of(recipe(name, 3 / ranks, kTrain)));
    arguments.insert(arguments.end(), {"--set", "run.method=pretrain", "--set",
                                       "teacher.model=" + folder_ + "/config"});
    const Output out = ranks == 1 ? program(arguments) : on_ranks(ranks, arguments);
    ASSERT_EQ(out.code, 0) << out.err;
  }
  expect_same_checkpoint("three", "alone");
  EXPECT_EQ(digest("three"), digest("alone"));
}

// From whole blocks to parts, and to another number of ranks.
TEST_F(RanksShardsTest, ARunGoesOnInPartsAndBack) {
  ASSERT_EQ(program(run_of(recipe("whole", 4, kTrain))).code, 0);
  ASSERT_EQ(on_ranks(2, in_parts(run_of(recipe("moved", 2, kTrain)))).code, 0);
  const std::string moved = folder_ + "/moved";
  for (const auto& [ranks, parts] :
       {std::pair(1, false), std::pair(4, true), std::pair(2, false)}) {
    for (const std::string& file : checkpoint_files(moved))
      if (file > checkpoint_file(moved, 3)) std::filesystem::remove(file);
    for (const char* file : {"/model.h5", "/result.json"}) std::filesystem::remove(moved + file);
    const Arguments arguments = in_parts(
        resume_of("moved",
                  {"--set", fmt::format("train.gradient_accumulation_steps={}", 4 / ranks)}),
        parts);
    const Output run = ranks == 1 ? program(arguments) : on_ranks(ranks, arguments);
    ASSERT_EQ(run.code, 0) << run.err;
    expect_same_checkpoint("moved", "whole");
    EXPECT_EQ(digest("moved"), digest("whole"));
    EXPECT_EQ(log_of("moved"), log_of("whole"));
  }
}

TEST_F(RanksShardsTest, AKilledRunGoesOn) {
  constexpr const char* kLong = "max_steps = 60\nsave_steps = 2\ngradient_checkpointing = true\n";
  ASSERT_EQ(program(run_of(recipe("whole", 2, kLong))).code, 0);
  std::atomic<bool> ended = false;
  std::thread killer([&] {
    while (!logged("killed", 5) && !ended)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const auto ranks = ranks_running();
    if (ranks.size() == 2) kill(ranks[1], SIGKILL);
  });
  const Output out = on_ranks(2, in_parts(run_of(recipe("killed", 1, kLong))));
  ended = true;
  killer.join();
  EXPECT_NE(out.code, 0);
  EXPECT_FALSE(checkpoint_files(folder_ + "/killed").empty());
  const Output resumed = on_ranks(2, resume_of("killed"));
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  expect_same_checkpoint("killed", "whole");
  EXPECT_EQ(digest("killed"), digest("whole"));
}

// What a rank's tensors take at most in a step of two micro-batches, beside what is planned. It is
// started on several ranks by the test behind it.
TEST(OnRanks, DISABLED_PeakOfTensors) {
  const Ranks ranks = Ranks::of_launcher();
  set_threads(1);
  const DecoderSpec spec = decoder_spec({.hidden_size = 320,
                                         .intermediate_size = 896,
                                         .num_hidden_layers = 8,
                                         .num_attention_heads = 5,
                                         .num_key_value_heads = 5,
                                         .head_dim = 64,
                                         .vocab_size = 2048,
                                         .max_position_embeddings = 512,
                                         .rms_norm_eps = 1e-5,
                                         .tie_word_embeddings = true});
  const int64_t length = 128;
  const std::vector<int32_t> ids(static_cast<size_t>(64 * length), 1);
  const TokenSequences sequences(ids, length);
  for (const auto& [checkpointing, parts] :
       {std::pair(false, false), std::pair(true, false), std::pair(true, true)}) {
    Decoder teacher = build_decoder(spec, random_weights(spec, 1));
    Decoder student = build_decoder(spec, random_weights(spec, 2));
    teacher.move_to(Device::cpu, DType::f16);
    release_kept_memory();
    Batches batches(sequences, 1, 0);
    Trainer trainer(student, &teacher, batches, {},
                    {.per_device_train_batch_size = 1,
                     .gradient_accumulation_steps = 2,
                     .gradient_checkpointing = checkpointing,
                     .shard_parameters = parts},
                    1, nullptr, ranks);
    reset_peak_allocated_bytes();
    while (!trainer.done()) trainer.step();
    trainer.settle();
    const RankPlan plan = plan_rank(
        spec, {.tokens = length, .teacher = true, .gradient_checkpointing = checkpointing},
        {.ranks = ranks.size(), .shard_parameters = parts, .micro_batches = 2});
    const auto held = static_cast<double>(peak_allocated_bytes());
    fmt::print(stderr, "rank {}: checkpointing {}, in parts {}: {:.1f} MB, planned {:.1f}\n",
               ranks.rank(), checkpointing, parts, held / 1e6, plan.bytes() / 1e6);
    // Where the others are as quick, nothing is under way for long.
    const double under_way =
        parts ? 0 : 8 * 4.0 * static_cast<double>(exchanged_numbers(Device::cpu, ranks.size()));
    EXPECT_GT(held, 0.85 * (plan.bytes() - under_way));
    EXPECT_LT(held, 1.15 * plan.bytes());
  }
  ranks.finish();
}

TEST_F(RanksShardsTest, MemoryIsWhatIsPlanned) {
  for (const char* ranks : {"2", "4"}) {
    const Output out =
        execute(HALFTONE_MPIEXEC, {"-n", ranks, std::filesystem::read_symlink("/proc/self/exe"),
                                   "--gtest_filter=OnRanks.*", "--gtest_also_run_disabled_tests",
                                   "--gtest_color=no"});
    EXPECT_EQ(out.code, 0) << out.out << out.err;
    EXPECT_NE(out.out.find("[  PASSED  ] 1 test."), std::string::npos) << out.out;
    std::istringstream lines(out.err);
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("rank ")) std::cout << ranks << " ranks, " << line << "\n";
  }
}

}  // namespace
}  // namespace halftone::testing
