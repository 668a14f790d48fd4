#include "halftone/model/plan.h"

#include "model/model_testing.h"

namespace halftone {
namespace {

DecoderSpec spec() {
  return decoder_spec(testing::tiny_config());
}

TEST(Plan, WeightsMomentsAndGradientsFollowTheParameters) {
  const auto n = static_cast<double>(parameter_count(spec()));
  const MemoryPlan alone = plan_training(spec(), {.tokens = 100}),
                   distilled = plan_training(spec(), {.tokens = 100, .teacher = true});
  EXPECT_EQ(alone.teacher, 0);
  EXPECT_EQ(distilled.teacher, 2 * n);
  EXPECT_EQ(alone.student, 12 * n);
  EXPECT_EQ(alone.gradients, 4 * n);
  EXPECT_GT(distilled.activations, alone.activations);
}

TEST(Plan, ActivationsGrowWithTokensAndCheckpointingHoldsThoseOfOneBlock) {
  const MemoryPlan one = plan_training(spec(), {.tokens = 100}),
                   two = plan_training(spec(), {.tokens = 200}),
                   less = plan_training(spec(), {.tokens = 100, .gradient_checkpointing = true});
  EXPECT_EQ(one.activations, 2 * one.of_block);  // of two blocks
  EXPECT_EQ(two.activations, 2 * one.activations);
  EXPECT_EQ(less.activations, one.of_block + 4.0 * 100 * 2 * 32);
}

TEST(Plan, OfAGpuInBf16HalvesActivationsAndTakesLargerChunks) {
  const TrainingShape cpu{.tokens = 1 << 20, .teacher = true, .post_layer_norm = true};
  TrainingShape gpu = cpu;
  gpu.device = Device::cuda;
  TrainingShape half = gpu;
  half.number_bytes = 2;
  const MemoryPlan there = plan_training(spec(), half), here = plan_training(spec(), cpu);
  EXPECT_EQ(2 * there.activations, plan_training(spec(), gpu).activations);
  EXPECT_EQ(there.student, here.student);
  EXPECT_GT(there.logits, here.logits);
}

// Two norms' outputs, the sum behind attention and the MLP's product; behind a normalisation of q,
// k and v their product stays, of which v would do for both.
TEST(Plan, JoinedLinearsMakeAgainWhatTheyRead) {
  for (const bool normed : {false, true}) {
    const TrainingShape cpu{.tokens = 100, .post_layer_norm = normed, .number_bytes = 4};
    TrainingShape gpu = cpu;
    gpu.device = Device::cuda;
    const BlockSpec& block = spec().blocks.front();
    const int64_t again = 3 * spec().hidden_size + block.slot(SlotRole::up).out -
                          (normed ? block.slot(SlotRole::v).out : 0);
    EXPECT_EQ(plan_training(spec(), cpu).of_block - plan_training(spec(), gpu).of_block,
              4.0 * 100 * static_cast<double>(again));
  }
}

TEST(Plan, TheTotalIsThatOfTheFullerMoment) {
  const MemoryPlan forward{.activations = 10, .of_block = 1, .logits = 5, .gradients = 3},
      backward{.activations = 10, .of_block = 4, .logits = 5, .gradients = 20};
  EXPECT_EQ(forward.total(), 15);
  EXPECT_EQ(backward.total(), 24);
}

TEST(Plan, BitsOfOneBitAreASignAWeightAndSixteenAScale) {
  double weights = 0, scales = 0;
  for (const BlockSpec& block : spec().blocks)
    for (const Slot& slot : block.slots)
      if (!slot.is_norm()) {
        weights += static_cast<double>(slot.out * slot.in);
        scales += static_cast<double>(slot.out + slot.in);
      }
  const auto n = static_cast<double>(parameter_count(spec()));
  const BitsPlan bits = plan_onebit(spec());
  EXPECT_DOUBLE_EQ(bits.linears, 1 + 16 * scales / weights);
  EXPECT_DOUBLE_EQ(bits.file, (weights + 16 * scales + 16 * (n - weights)) / n);
}

TEST(Plan, BitsOfStudentsWithoutAnInputScale) {
  double weights = 0, rows = 0;
  for (const BlockSpec& block : spec().blocks)
    for (const Slot& slot : block.slots)
      if (!slot.is_norm()) {
        weights += static_cast<double>(slot.out * slot.in);
        rows += static_cast<double>(slot.out);
      }
  EXPECT_DOUBLE_EQ(plan_onebit(spec(), {.foldable = true}).linears, 1 + 16 * rows / weights);
  EXPECT_DOUBLE_EQ(plan_onebit(spec(), {.scale_group = 16}).linears, 1 + 16.0 / 16);
}

TEST(Plan, BitsOfAMethodAreThoseOfItsLayout) {
  // Every row is a multiple of 16 columns: 4 bits a weight, a scale and a zero for 16 of them.
  EXPECT_DOUBLE_EQ(plan_low_bits(spec(), UniformLayout{.bits = 4, .group_size = 16}, 0),
                   4 + (16.0 + 4) / 16);
  const BinaryLayout binary{.blocksize = 128, .partitioned = true};
  EXPECT_GT(plan_low_bits(spec(), binary, 0.5), plan_low_bits(spec(), binary, 0.1));
}

TEST(Plan, WorkIsCountedAToken) {
  const auto n = static_cast<double>(parameter_count(spec()));
  EXPECT_EQ(plan_flop(spec(), {}, 10, 0), 60 * n);
  EXPECT_EQ(plan_flop(spec(), {.teacher = true}, 10, 0), 80 * n);
  EXPECT_EQ(plan_flop(spec(), {.gradient_checkpointing = true}, 10, 5), 90 * n);
}

TEST(Plan, QuantisingHoldsADenseCopyAndGrowsWithTheCalibration) {
  const auto n = static_cast<double>(parameter_count(spec()));
  const MemoryPlan few = plan_quantising(spec(), 2, 100), more = plan_quantising(spec(), 2, 300);
  EXPECT_EQ(few.teacher, 2 * n);
  EXPECT_EQ(few.student, 4 * n);
  EXPECT_EQ(more.activations - few.activations, 3 * 4.0 * 200 * 32);
}

TEST(Plan, AStartHoldsHiddenStatesOfBothAndMatricesWhereItRefines) {
  const auto of = [](StudentStart start, bool warm, int64_t tokens) {
    return plan_start(spec(), start, warm, tokens);
  };
  EXPECT_EQ(of(StudentStart::svid, true, 100), 5 * 4.0 * 100 * 32);
  EXPECT_EQ(of(StudentStart::arb_rc, false, 300) - of(StudentStart::arb_rc, false, 100),
            2 * 4.0 * 200 * 32);
  EXPECT_GT(of(StudentStart::arb_rc, false, 0), 8 * (3 * 32.0 * 32 + 48 * 48 + 6 * 96 * 32));
}

TEST(Plan, RanksShareStatesAndPayForWhatTheySend) {
  const TrainingShape shape{.tokens = 1000, .teacher = true};
  const auto of = [&](RanksShape ranks) { return plan_rank(spec(), shape, ranks); };
  const auto parameters = static_cast<double>(parameter_count(spec()));
  const RankPlan one = of({}), four = of({.ranks = 4}),
                 twice = of({.ranks = 4, .micro_batches = 2});
  EXPECT_EQ(one.efficiency(), 1);
  EXPECT_EQ(one.sent_bytes, 0);
  EXPECT_EQ(one.states, 8 * parameters);
  EXPECT_EQ(four.states, one.states / 4);
  EXPECT_EQ(four.weights, one.weights);
  // Gradients out, values in: three quarters of four bytes each.
  EXPECT_EQ(four.sent_bytes, 2 * 4 * parameters * 3 / 4);
  EXPECT_EQ(twice.sent_bytes, 1.5 * four.sent_bytes);
  EXPECT_EQ(four.compute_seconds, one.compute_seconds);
  EXPECT_LT(four.efficiency(), 1);
  EXPECT_GT(of({.ranks = 4, .bytes_per_second = 1e12, .latency_seconds = 0}).efficiency(),
            four.efficiency());
  // One bucket, which nothing hides: both exchanges and ten gathers of two rounds.
  EXPECT_NEAR(four.wait_seconds, four.sent_bytes / 1e9 + (2 * 3 + 10 * 2) * 20e-6, 1e-12);
}

TEST(Plan, PartsOfTheBlocksAreHeldAndABlockIsGathered) {
  const TrainingShape shape{.tokens = 1000, .teacher = true, .gradient_checkpointing = true};
  double blocks = 0;
  for (const ExpectedWeight& weight : expected_weights(spec()))
    if (weight.layer >= 0) blocks += static_cast<double>(numel(weight.shape));
  const double all = static_cast<double>(parameter_count(spec())), beside = all - blocks;
  const RankPlan whole = plan_rank(spec(), shape, {.ranks = 4}),
                 parts = plan_rank(spec(), shape, {.ranks = 4, .shard_parameters = true});
  EXPECT_DOUBLE_EQ(parts.weights, 4 * (beside + blocks / 4) + 4 * blocks / 2);  // of two blocks
  EXPECT_DOUBLE_EQ(parts.teacher, 2 * (beside + blocks / 4));
  EXPECT_EQ(parts.states, whole.states);
  EXPECT_LE(parts.gradients, whole.gradients);
  // In place of the blocks' values: gathered twice by the student, once by the teacher.
  EXPECT_DOUBLE_EQ(parts.sent_bytes - whole.sent_bytes, (2 * 4 + 2 - 4) * blocks * 3 / 4);
  EXPECT_GT(parts.wait_seconds, whole.wait_seconds);
  const RankPlan alone = plan_rank(spec(), shape, {.shard_parameters = true});
  EXPECT_EQ(alone.weights, 4 * all);
  EXPECT_EQ(alone.sent_bytes, 0);
}

}  // namespace
}  // namespace halftone
