#include "halftone/eval/perplexity.h"
#include "halftone/model/spec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "halftone/base/error.h"
#include "halftone/model/build.h"

namespace halftone {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// One block of random weights, its final norm's gains all `gain`.
Decoder model(float gain) {
  const ModelConfig config{.hidden_size = 16,
                           .intermediate_size = 16,
                           .num_hidden_layers = 1,
                           .num_attention_heads = 2,
                           .num_key_value_heads = 2,
                           .head_dim = 8,
                           .vocab_size = 40,
                           .max_position_embeddings = 64};
  Weights weights = random_weights(decoder_spec(config), 1);
  weights["model.norm.weight"] = Tensor::full({16}, DType::f32, gain);
  return build_decoder(decoder_spec(config), weights);
}

EvalText text(std::optional<int32_t> window_bos = {}) {
  EvalText out{.tokens = {}, .window_bos = window_bos};
  for (int32_t i = 0; i < 64; ++i) out.tokens.push_back(i * 7 % 40);
  return out;
}

// Over predictions of each window's tokens from number `first` on.
double plain_perplexity(Decoder& decoder, const std::vector<std::vector<int32_t>>& windows,
                        size_t first) {
  double sum = 0, count = 0;
  for (const std::vector<int32_t>& window : windows) {
    Tape tape(Tape::Mode::no_grad);
    const Tensor logits = decoder.logits(decoder.hidden(tape, window, 1).value());
    for (size_t i = first; i < window.size(); ++i) {
      const float* row = logits.data<float>() + static_cast<int64_t>(i - 1) * logits.dim(1);
      double total = 0;
      for (int64_t v = 0; v < logits.dim(1); ++v) total += std::exp(row[v]);
      sum += std::log(total) - row[window[i]];
      ++count;
    }
  }
  return std::exp(sum / count);
}

Evaluation measure(float gain, float teacher_gain) {
  Decoder student = model(gain), teacher = model(teacher_gain);
  return evaluate(student, &teacher, text(), {.context = 16});
}

TEST(Perplexity, OfALargeErrorIsInfiniteBesideAFiniteTeacher) {
  const Evaluation found = measure(1e6f, 1);
  EXPECT_EQ(found.perplexity, std::numeric_limits<double>::infinity());
  ASSERT_TRUE(found.agreement);
  EXPECT_NEAR(found.agreement->teacher_perplexity, 40, 4);
  EXPECT_GT(found.agreement->kl, 1000);
  EXPECT_TRUE(std::isfinite(found.agreement->kl));
}

TEST(Perplexity, OfLogitsThatAreNanIsNanAndAgreesWithNothing) {
  const Evaluation found = measure(kNan, kNan);
  EXPECT_TRUE(std::isnan(found.perplexity));
  ASSERT_TRUE(found.agreement);
  EXPECT_TRUE(std::isnan(found.agreement->teacher_perplexity));
  EXPECT_EQ(found.agreement->top1, 0);
  EXPECT_EQ(measure(1, 1).agreement->top1, 1);
}

TEST(Perplexity, WithoutATeacherHasNoAgreement) {
  Decoder alone = model(1);
  EXPECT_FALSE(evaluate(alone, nullptr, text(), {.context = 16}).agreement);
}

TEST(Perplexity, WithoutAPredictionIsAnErrorThatNamesTheFigures) {
  Decoder alone = model(1);
  for (const TextSettings& settings :
       {TextSettings{.context = 1}, TextSettings{.context = 2, .protocol = Protocol::llamacpp},
        TextSettings{.context = 0}}) {
    try {
      evaluate(alone, nullptr, text(), settings);
      ADD_FAILURE() << settings.context;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::recipe);
      const std::string found = fmt::format("eval.context: {} tokens", settings.context);
      EXPECT_EQ(std::string(error.what()).find(found), 0u) << error.what();
    }
  }
  EXPECT_EQ(
      evaluate(alone, nullptr, text(), {.context = 3, .protocol = Protocol::llamacpp}).predictions,
      21);
}

TEST(Perplexity, ABosInFrontOfEachWindowPredictsItsFirstToken) {
  Decoder alone = model(20);
  const EvalText with_bos = text(3);
  std::vector<std::vector<int32_t>> windows;
  for (size_t k = 0; k < 4; ++k) {  // 64 / 15
    windows.push_back({3});
    const auto begin = with_bos.tokens.begin() + static_cast<int64_t>(15 * k);
    windows.back().insert(windows.back().end(), begin, begin + 15);
  }
  const Evaluation found = evaluate(alone, nullptr, with_bos, {.context = 16});
  EXPECT_EQ(found.windows, 4);
  EXPECT_EQ(found.predictions, 4 * 15);
  EXPECT_NEAR(found.perplexity / plain_perplexity(alone, windows, 1), 1, 1e-5);
}

TEST(Perplexity, ProtocolLlamacppPutsTheBosInPlaceOfAWindowsFirstToken) {
  Decoder alone = model(20);
  const EvalText with_bos = text(3);
  std::vector<std::vector<int32_t>> windows;
  for (int64_t k = 0; k < 4; ++k) {
    const auto begin = with_bos.tokens.begin() + 16 * k;
    windows.emplace_back(begin, begin + 16)[0] = 3;
  }
  const Evaluation found =
      evaluate(alone, nullptr, with_bos, {.context = 16, .protocol = Protocol::llamacpp});
  EXPECT_NEAR(found.perplexity / plain_perplexity(alone, windows, 9), 1, 1e-5);
}

TEST(BosPlace, FollowsTheProtocolAndTheModelUnlessItIsNamed) {
  EXPECT_EQ(bos_place({}, false), BosPlace::document);
  EXPECT_EQ(bos_place({}, true), BosPlace::window);
  EXPECT_EQ(bos_place({.protocol = Protocol::llamacpp}, false), BosPlace::window);
  EXPECT_EQ(bos_place({.bos = BosPlace::none}, true), BosPlace::none);
  EXPECT_EQ(bos_place({.protocol = Protocol::llamacpp, .bos = BosPlace::document}, false),
            BosPlace::document);
}

}  // namespace
}  // namespace halftone
