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

std::vector<int32_t> text() {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 64; ++i) ids.push_back(i * 7 % 40);
  return ids;
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
  for (const EvalSettings& settings :
       {EvalSettings{.context = 1}, EvalSettings{.context = 2, .protocol = Protocol::llamacpp},
        EvalSettings{.context = 0}}) {
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

}  // namespace
}  // namespace halftone
