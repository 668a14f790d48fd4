// One rank, whose part is all; several are in tests/ranks.
#include "halftone/train/block_shards.h"

#include "halftone/autograd/recompute.h"
#include "halftone/ops/elementwise.h"
#include "halftone/ops/losses.h"
#include "halftone/tensor/memory.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

using testing::equal;
using testing::tiny_decoder;

const std::vector<int32_t> kIds{1, 2, 3, 4, 5, 6};

Tensor states_of(Decoder& decoder) {
  Tape tape(Tape::Mode::no_grad);
  return decoder.hidden(tape, kIds, 2).value();
}

std::vector<Param*> params_of(Decoder& decoder) {
  std::vector<Param*> out;
  decoder.visit([&](Param& param) { out.push_back(&param); });
  return out;
}

TEST(BlockShards, ABlockIsThereWhileItRunsAlone) {
  Decoder whole = tiny_decoder(), parts = tiny_decoder();
  const Tensor expected = states_of(whole);
  const Shape shape = parts.blocks[0].linears.at(SlotRole::q)->dense_weight().shape();
  {
    const BlockShards shards(parts, {});
    EXPECT_TRUE(equal(states_of(parts), expected));
    EXPECT_TRUE(equal(states_of(parts), expected));
    parts.blocks[0].visit([](const Param& param) {
      EXPECT_TRUE(param.value.defined()) << param.name;
      EXPECT_FALSE(param.value.writable()) << param.name;
      EXPECT_THROW(param.value.data<float>(), std::invalid_argument) << param.name;
    });
    Param* q = nullptr;
    parts.blocks[0].linears.at(SlotRole::q)->visit([&](Param& param) { q = &param; });
    EXPECT_EQ(q->value.shape(), shape);
    const auto held = parts.hold_block(0);
    EXPECT_TRUE(equal(q->value, weights_of(whole).at(q->name)));
    EXPECT_NE(parts.embedding.value.data<float>(), nullptr);
  }
  EXPECT_FALSE(parts.hold_block);
}

TEST(BlockShards, WhatAFileIsMappedForIsLetGo) {
  Decoder decoder = tiny_decoder();
  auto file = std::make_shared<int>();
  decoder.visit([&](Param& param) {
    const Tensor kept = param.value;
    const auto owner = std::make_shared<std::pair<std::shared_ptr<int>, Tensor>>(file, kept);
    param.value = Tensor::view(owner, kept.data<float>(), kept.shape(), kept.dtype());
  });
  EXPECT_GT(file.use_count(), 1);
  const BlockShards shards(decoder, {});
  EXPECT_EQ(file.use_count(), 1);
  EXPECT_TRUE(equal(states_of(decoder), [] {
    Decoder whole = tiny_decoder();
    return states_of(whole);
  }()));
}

// Backward has the block's parameters as long as it needs them, and what is updated is what runs.
TEST(BlockShards, GradientsAndUpdatesAreThoseOfTheWholeModel) {
  Decoder whole = tiny_decoder(), parts = tiny_decoder();
  GradientSum sum_of_whole(params_of(whole), {}), sum_of_parts(params_of(parts), {});
  const BlockShards shards(parts, {}, sum_of_parts);
  const Tensor target = Tensor::full({6, 32}, DType::f32, 0.25);
  const auto step = [&](Decoder& decoder, GradientSum& sum) {
    sum.clear();
    Tape tape;
    Var x = decoder.embed(tape, kIds, 2);
    for (size_t i = 0; i < decoder.blocks.size(); ++i)
      x = recomputed(x,
                     [&decoder, i](Tape& on, const Var& y) { return decoder.block(on, i, y, 2); });
    const Var loss = mse(decoder.normalise(tape, x), target);
    const double out = loss.value().item();
    tape.backward(loss, 1, [&](Param& param) { sum.add(param); });
    sum.end_batch();
    sum.finish();
    for (Shard& shard : sum.shards()) {
      float* value = shard.part.value.data<float>();
      for (int64_t i = 0; i < shard.part.value.numel(); ++i)
        value[i] -= 0.1f * shard.part.grad.tensor.data<float>()[i];
    }
    sum.share_values();
    return out;
  };
  double before = 0;
  for (int i = 0; i < 3; ++i) {
    const double loss = step(whole, sum_of_whole);
    EXPECT_EQ(step(parts, sum_of_parts), loss);
    EXPECT_EQ(sum_of_parts.norm(), sum_of_whole.norm());
    EXPECT_NE(loss, before);
    before = loss;
  }
}

TEST(BlockShards, NoMoreThanABlockIsHeldBesideTheParts) {
  Decoder decoder = tiny_decoder();
  size_t of_block = 0;
  decoder.blocks[0].visit([&](Param& param) { of_block += param.value.bytes(); });
  const BlockShards shards(decoder, {});
  const size_t before = allocated_bytes();
  const auto held = decoder.hold_block(0);
  EXPECT_GE(allocated_bytes() - before, of_block);
  EXPECT_LT(allocated_bytes() - before, 2 * of_block);
}

}  // namespace
}  // namespace halftone
