// Attention against the plain loop, and its gradients against central differences.
#include "halftone/ops/attention.h"

#include <cmath>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

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
Tensor plain_attention(const AttentionShape& s, const Tensor& q, const Tensor& k, const Tensor& v) {
  const int64_t d = s.head_dim, group = s.heads / s.key_value_heads;
  const double scale = s.scale != 0 ? s.scale : 1 / std::sqrt(static_cast<double>(d));
  Tensor out = Tensor::zeros(q.shape(), DType::f64);
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t h = 0; h < s.heads; ++h)
      for (int64_t i = 0; i < s.query_length; ++i) {
        const int64_t at = ((b * s.query_length + i) * s.heads + h) * d,
                      last = s.key_length - s.query_length + i,
                      first = s.window ? std::max<int64_t>(last - s.window + 1, 0) : 0;
        const auto row = [&](const Tensor& x, int64_t j) {
          return x.data<double>() + ((b * s.key_length + j) * s.key_value_heads + h / group) * d;
        };
        std::vector<double> p;
        double sum = 0;
        for (int64_t j = first; j <= last; ++j) {
          double dot = 0;
          for (int64_t c = 0; c < d; ++c) dot += q.data<double>()[at + c] * row(k, j)[c];
          sum += p.emplace_back(std::exp(scale * dot));
        }
        for (int64_t j = first; j <= last; ++j)
          for (int64_t c = 0; c < d; ++c)
            out.data<double>()[at + c] += p[j - first] / sum * row(v, j)[c];
      }
  return out;
}

void expect_plain_loop(const AttentionShape& s) {
  const Tensor q = random_tensor({s.batch * s.query_length, s.heads * s.head_dim}, 1),
               k = random_tensor({s.batch * s.key_length, s.key_value_heads * s.head_dim}, 2),
               v = random_tensor({s.batch * s.key_length, s.key_value_heads * s.head_dim}, 3);
  const Tensor plain = plain_attention(s, q, k, v);
  Tape tape(Tape::Mode::no_grad);
  const Var out = attention(tape.constant(q), tape.constant(k), tape.constant(v), s);
  EXPECT_LT(largest_difference(out.value(), plain), 1e-12) << "window " << s.window;
  const Var single = attention(tape.constant(q.to(DType::f32)), tape.constant(k.to(DType::f32)),
                               tape.constant(v.to(DType::f32)), s);
  EXPECT_LT(largest_difference(single.value(), plain), 1e-5) << "window " << s.window;
}

TEST(Attention, EqualsThePlainLoop) {
  expect_plain_loop({.batch = 2,
                     .query_length = 130,
                     .key_length = 133,
                     .heads = 4,
                     .key_value_heads = 2,
                     .head_dim = 8});
}

// Windows that end within a row tile, a tile of queries and a block of keys, and that hide whole
// ones; and the few queries of generation.
TEST(Attention, EqualsThePlainLoopInAWindow) {
  for (const int64_t window : {1, 3, 11, 97, 256, 300, 700})
    for (const int64_t queries : {1, 3, 530, 600})
      expect_plain_loop({.batch = 2,
                         .query_length = queries,
                         .key_length = 600,
                         .heads = 2,
                         .key_value_heads = 1,
                         .head_dim = 8,
                         .window = window,
                         .scale = 0.2});
}

TEST(Attention, AWindowOverAllKeysAndTheUsualScaleChangeNoBit) {
  AttentionShape s{.batch = 1,
                   .query_length = 300,
                   .key_length = 300,
                   .heads = 2,
                   .key_value_heads = 2,
                   .head_dim = 16};
  const Tensor x = random_tensor({300, 32}, 1, 1.0, DType::f32);
  Tape tape(Tape::Mode::no_grad);
  const Var v = tape.constant(x), plain = attention(v, v, v, s);
  s.window = 300;
  EXPECT_EQ(largest_difference(attention(v, v, v, s).value(), plain.value()), 0);
  s.scale = 0.25;
  EXPECT_EQ(largest_difference(attention(v, v, v, s).value(), plain.value()), 0);
}

TEST(Attention, GradientsMatchDifferencesInAWindowWithAScale) {
  for (const int64_t window : {5, 270}) {
    const AttentionShape shape{.batch = 1,
                               .query_length = 290,
                               .key_length = 295,
                               .heads = 1,
                               .key_value_heads = 1,
                               .head_dim = 1,
                               .window = window,
                               .scale = 1.3};
    expect_gradients(
        [&](Tape&, const Vars& x) { return random_sum(attention(x[0], x[1], x[2], shape)); },
        {random_tensor({290, 1}, 1), random_tensor({295, 1}, 2), random_tensor({295, 1}, 3)});
  }
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

// Few queries, which are read as decoding reads, and many; heads of whole vectors and others;
// capacities that are full and half empty. What lies behind the filled part is not a number.
TEST(Attention, AnF16CacheGivesWhatItsNumbersInF32Give) {
  for (const int64_t d : {4, 32, 64})
    for (const int64_t queries : {1, 3, 40})
      for (const int64_t keys : {int64_t{40}, int64_t{290}})
        for (const int64_t window : {0, 33}) {
          const AttentionShape s{.batch = 2,
                                 .query_length = queries,
                                 .key_length = keys,
                                 .heads = 4,
                                 .key_value_heads = 2,
                                 .head_dim = d,
                                 .key_capacity = 300,
                                 .window = window};
          const auto cache = [&](uint64_t seed) {
            Tensor out = random_tensor({2 * 2 * 300, d}, seed, 1.0, DType::f32);
            for (int64_t head = 0; head < 4; ++head)
              std::fill(out.data<float>() + (head * 300 + keys) * d,
                        out.data<float>() + (head + 1) * 300 * d, NAN);
            return out.to(DType::f16);
          };
          const Tensor q = random_tensor({2 * queries, 4 * d}, 1, 1.0, DType::f32), k = cache(2),
                       v = cache(3);
          Tape tape(Tape::Mode::no_grad);
          const Var x = tape.constant(q),
                    wide = attention(x, tape.constant(k.to(DType::f32)),
                                     tape.constant(v.to(DType::f32)), s),
                    half = attention(x, tape.constant(k), tape.constant(v), s);
          EXPECT_EQ(largest_difference(half.value(), wide.value()), 0)
              << d << " " << queries << " " << keys << " " << window;
        }
}

TEST(Attention, F16WithoutACacheAndGradientsThroughOneAreRefused) {
  AttentionShape s{.batch = 1,
                   .query_length = 1,
                   .key_length = 3,
                   .heads = 1,
                   .key_value_heads = 1,
                   .head_dim = 4};
  const Tensor q = random_tensor({1, 4}, 1, 1.0, DType::f32),
               k = random_tensor({3, 4}, 2, 1.0, DType::f16);
  Tape tape;
  EXPECT_THROW(attention(tape.constant(q), tape.constant(k), tape.constant(k), s),
               std::invalid_argument);
  s.key_capacity = 3;
  EXPECT_NO_THROW(attention(tape.constant(q), tape.constant(k), tape.constant(k), s));
  EXPECT_THROW(attention(tape.variable(q), tape.constant(k), tape.constant(k), s),
               std::invalid_argument);
}

}  // namespace
}  // namespace halftone
