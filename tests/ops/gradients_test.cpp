// Every smooth op against central differences in double.
#include <functional>

#include "halftone/ops/attention.h"
#include "halftone/ops/channel_distance.h"
#include "halftone/ops/embedding.h"
#include "halftone/ops/layer_norm.h"
#include "halftone/ops/linear.h"
#include "halftone/ops/logit_losses.h"
#include "halftone/ops/losses.h"
#include "halftone/ops/onebit_linear.h"
#include "halftone/ops/rms_norm.h"
#include "halftone/ops/rotary.h"
#include "halftone/ops/swiglu.h"
#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(Add, GradientsMatchDifferencesWhenATermIsUsedTwice) {
  expect_gradients(
      [](Tape&, const Vars& x) { return random_sum(add(add(x[0], x[1]), scale(x[0], 3.0))); },
      {random_tensor({3, 4}, 1), random_tensor({3, 4}, 2)});
}

TEST(Linear, GradientsMatchDifferences) {
  expect_gradients([](Tape&, const Vars& x) { return random_sum(linear(x[0], x[1], x[2])); },
                   {random_tensor({5, 7}, 1), random_tensor({3, 7}, 2), random_tensor({3}, 3)});
}

TEST(Embedding, GradientsAddUpOverRepeatedTokens) {
  expect_gradients(
      [](Tape&, const Vars& x) {
        return random_sum(embedding({2, 0, 2, 1}, x[0]));
      },
      {random_tensor({4, 6}, 1)});
}

TEST(RmsNorm, GradientsMatchDifferences) {
  for (const int64_t rows : {4, 130})  // the gain's gradient is summed by parts of 64
    expect_gradients([](Tape&, const Vars& x) { return random_sum(rms_norm(x[0], x[1], 1e-5)); },
                     {random_tensor({rows, 9}, 1), random_tensor({9}, 2)});
}

TEST(LayerNorm, GradientsMatchDifferences) {
  expect_gradients([](Tape&, const Vars& x) { return random_sum(layer_norm(x[0], 1e-5)); },
                   {random_tensor({4, 9}, 1)});
}

TEST(SwiGlu, GradientsMatchDifferences) {
  expect_gradients([](Tape&, const Vars& x) { return random_sum(swiglu(x[0], x[1])); },
                   {random_tensor({4, 9}, 1, 2.0), random_tensor({4, 9}, 2)});
}

TEST(Rotary, GradientsMatchDifferences) {
  const RotaryTable table = make_rotary_table(8, {{1.0, 0.3, 0.01}, 1.25}, DType::f64);
  expect_gradients([&](Tape&, const Vars& x) { return random_sum(rotary(x[0], table, 2, 5, 3)); },
                   {random_tensor({10, 12}, 1)});
}

// Backward may put its result in the place of the output's gradient: not where that is the gradient
// of another variable too, as of the second term of a sum.
TEST(Gradients, OfAnotherVariableAreLeftAlone) {
  const RotaryTable table = make_rotary_table(4, {{1.0, 0.3}}, DType::f64);
  const Tensor latent = random_tensor({4, 4}, 5), scales = random_tensor({4}, 6);
  const std::vector<std::function<Var(Tape&, const Var&)>> ops = {
      [](Tape&, const Var& x) { return swiglu(x, x); },
      [&](Tape&, const Var& x) { return rotary(x, table, 1, 4, 0); },
      [&](Tape& tape, const Var& x) {
        return onebit_linear(x, tape.constant(latent), tape.constant(scales), tape.constant(scales),
                             {}, {.post_layer_norm = true});
      }};
  for (const auto& op : ops) {
    Tape tape;
    const Var x = tape.variable(random_tensor({4, 4}, 1)),
              other = tape.variable(random_tensor({4, 4}, 2));
    tape.backward(random_sum(add(op(tape, x), other)));
    EXPECT_EQ(largest_difference(other.grad().tensor, random_tensor({4, 4}, 99)), 0);
  }
}

TEST(Attention, GradientsMatchDifferencesWithGroupedKeys) {
  const AttentionShape shape{.batch = 2,
                             .query_length = 5,
                             .key_length = 5,
                             .heads = 4,
                             .key_value_heads = 2,
                             .head_dim = 3};
  expect_gradients(
      [&](Tape&, const Vars& x) { return random_sum(attention(x[0], x[1], x[2], shape)); },
      {random_tensor({10, 12}, 1), random_tensor({10, 6}, 2), random_tensor({10, 6}, 3)});
}

TEST(Attention, GradientsMatchDifferencesOverSeveralTilesAndBlocksOfKeysAndACachedPast) {
  const AttentionShape shape{.batch = 1,
                             .query_length = 290,
                             .key_length = 295,
                             .heads = 2,
                             .key_value_heads = 1,
                             .head_dim = 2};
  expect_gradients(
      [&](Tape&, const Vars& x) { return random_sum(attention(x[0], x[1], x[2], shape)); },
      {random_tensor({290, 4}, 1), random_tensor({295, 2}, 2), random_tensor({295, 2}, 3)});
}

// Every query's softmax written out: the oracle of the tiles.
TEST(Attention, EqualsThePlainLoop) {
  const AttentionShape s{.batch = 2,
                         .query_length = 130,
                         .key_length = 133,
                         .heads = 4,
                         .key_value_heads = 2,
                         .head_dim = 8};
  const Tensor q = random_tensor({260, 32}, 1), k = random_tensor({266, 16}, 2),
               v = random_tensor({266, 16}, 3);
  Tensor plain = Tensor::zeros({260, 32}, DType::f64);
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t h = 0; h < 4; ++h)
      for (int64_t i = 0; i < 130; ++i) {
        const double* qi = q.data<double>() + (b * 130 + i) * 32 + h * 8;
        std::vector<double> p;
        double sum = 0;
        for (int64_t j = 0; j <= i + 3; ++j) {
          const double* kj = k.data<double>() + (b * 133 + j) * 16 + h / 2 * 8;
          double dot = 0;
          for (int d = 0; d < 8; ++d) dot += qi[d] * kj[d];
          p.push_back(std::exp(dot / std::sqrt(8.0)));
          sum += p.back();
        }
        for (size_t j = 0; j < p.size(); ++j)
          for (int d = 0; d < 8; ++d)
            plain.data<double>()[(b * 130 + i) * 32 + h * 8 + d] +=
                p[j] / sum * v.data<double>()[(b * 133 + j) * 16 + h / 2 * 8 + d];
      }
  Tape tape(Tape::Mode::no_grad);
  const Var out = attention(tape.constant(q), tape.constant(k), tape.constant(v), s);
  EXPECT_LT(largest_difference(out.value(), plain), 1e-12);
  const Var single = attention(tape.constant(q.to(DType::f32)), tape.constant(k.to(DType::f32)),
                               tape.constant(v.to(DType::f32)), s);
  EXPECT_LT(largest_difference(single.value(), plain), 1e-5);
}

TEST(Attention, ReadsTheFilledPartOfACacheHeadByHead) {
  const int64_t batch = 2, keys = 3, heads = 2, d = 4, capacity = 5;
  const AttentionShape plain{.batch = batch,
                             .query_length = 1,
                             .key_length = keys,
                             .heads = 4,
                             .key_value_heads = heads,
                             .head_dim = d};
  AttentionShape cached = plain;
  cached.key_capacity = capacity;
  const Tensor q = random_tensor({batch, 4 * d}, 1),
               filled = random_tensor({batch * keys, heads * d}, 2);
  Tensor cache = random_tensor({batch * heads * capacity, d}, 3);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t t = 0; t < keys; ++t)
      for (int64_t g = 0; g < heads; ++g)
        std::copy_n(filled.data<double>() + ((b * keys + t) * heads + g) * d, d,
                    cache.data<double>() + ((b * heads + g) * capacity + t) * d);
  Tape tape(Tape::Mode::no_grad);
  const Var kv = tape.constant(filled), store = tape.constant(cache), x = tape.constant(q);
  EXPECT_EQ(largest_difference(attention(x, kv, kv, plain).value(),
                               attention(x, store, store, cached).value()),
            0);
}

TEST(Losses, GradientsMatchDifferences) {
  const Tensor t = random_tensor({4, 6}, 5);
  expect_gradients([&](Tape&, const Vars& x) { return normalised_mse(x[0], t); },
                   {random_tensor({4, 6}, 1)});
  expect_gradients([&](Tape&, const Vars& x) { return mse(x[0], t); }, {random_tensor({4, 6}, 1)});
  expect_gradients([&](Tape&, const Vars& x) { return kl_divergence(x[0], t, 1.7); },
                   {random_tensor({4, 6}, 1)});
  expect_gradients(
      [&](Tape&, const Vars& x) {
        return cross_entropy(x[0], {1, kIgnoredTarget, 5, 0});
      },
      {random_tensor({4, 6}, 1)});
}

TEST(ChannelDistance, GradientsMatchDifferences) {
  const Tensor t = random_tensor({7, 5}, 5);
  expect_gradients([&](Tape&, const Vars& x) { return channel_distance(x[0], t); },
                   {random_tensor({7, 5}, 1)});
}

TEST(ChannelDistance, ComparesMeansAndUnbiasedVariances) {
  Tape tape;
  const Var x =
      tape.constant(Tensor::of<double>({2, 2}, {0, 1, 2, 1}));  // means 1, 1; variances 2, 0
  const Tensor t = Tensor::of<double>({2, 2}, {0, 0, 0, 2});    // means 0, 1; variances 0, 2
  EXPECT_DOUBLE_EQ(channel_distance(x, t).value().item(), (1 + 2 + 0 + 2) / 2.0);
}

TEST(Losses, AreZeroForIdenticalModels) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor t = random_tensor({4, 6}, 5);
  EXPECT_NEAR(normalised_mse(tape.constant(t.clone()), t).value().item(), 0, 1e-15);
  EXPECT_NEAR(kl_divergence(tape.constant(t.clone()), t).value().item(), 0, 1e-15);
}

}  // namespace
}  // namespace halftone
