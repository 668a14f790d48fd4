#include "halftone/ops/token_scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

constexpr int64_t kRows = 9, kIds = 37;

Tensor logits(uint64_t seed) {
  return random_tensor({kRows, kIds}, seed, 2.0, DType::f32);
}

Tensor next_ids() {
  Tensor out = Tensor::uninitialized({kRows}, DType::i32);
  for (int32_t i = 0; i < kRows; ++i) out.data<int32_t>()[i] = (i * 11 + 36) % kIds;
  return out;
}

double log_probability(const Tensor& x, int64_t row, int64_t id) {
  double sum = 0;
  for (int64_t v = 0; v < kIds; ++v)
    sum += std::exp(static_cast<double>(x.data<float>()[row * kIds + v]));
  return x.data<float>()[row * kIds + id] - std::log(sum);
}

TEST(TokenScores, ArePlainSumsOverTheRows) {
  const Tensor x = logits(1), t = logits(2), next = next_ids();
  TokenScores expected;
  for (int64_t i = 0; i < kRows; ++i) {
    expected.nll -= log_probability(x, i, next.data<int32_t>()[i]);
    expected.teacher_nll -= log_probability(t, i, next.data<int32_t>()[i]);
    int64_t best_x = 0, best_t = 0;
    for (int64_t v = 0; v < kIds; ++v) {
      const double p = log_probability(t, i, v);
      expected.kl += std::exp(p) * (p - log_probability(x, i, v));
      if (x.data<float>()[i * kIds + v] > x.data<float>()[i * kIds + best_x]) best_x = v;
      if (t.data<float>()[i * kIds + v] > t.data<float>()[i * kIds + best_t]) best_t = v;
    }
    expected.agree += best_x == best_t;
  }
  TokenScores found{.nll = 100};  // what is there already is added to
  add_token_scores(x, t, next, found);
  EXPECT_NEAR(found.nll, 100 + expected.nll, 1e-4);
  EXPECT_NEAR(found.teacher_nll, expected.teacher_nll, 1e-4);
  EXPECT_NEAR(found.kl, expected.kl, 1e-4);
  EXPECT_EQ(found.agree, expected.agree);
}

TEST(TokenScores, WithoutATeacherAreOfTheModelAlone) {
  TokenScores with, without;
  add_token_scores(logits(1), logits(2), next_ids(), with);
  add_token_scores(logits(1), Tensor(), next_ids(), without);
  EXPECT_EQ(without.nll, with.nll);
  EXPECT_EQ(without.teacher_nll, 0);
  EXPECT_EQ(without.kl, 0);
  EXPECT_EQ(without.agree, 0);
}

TEST(TokenScores, AModelAgreesWithItselfAndARowWithANanWithNothing) {
  Tensor x = logits(1);
  TokenScores whole, broken, of_teacher;
  add_token_scores(x, x.clone(), next_ids(), whole);
  EXPECT_EQ(whole.agree, kRows);
  EXPECT_NEAR(whole.kl, 0, 1e-6);
  const Tensor good = x.clone();
  x.data<float>()[3 * kIds + 36] = std::nanf("");
  add_token_scores(x, good, next_ids(), broken);
  add_token_scores(good, x, next_ids(), of_teacher);
  EXPECT_EQ(broken.agree, kRows - 1);
  EXPECT_EQ(of_teacher.agree, kRows - 1);
  EXPECT_TRUE(std::isnan(broken.nll));
  EXPECT_TRUE(std::isnan(of_teacher.teacher_nll));
  EXPECT_FALSE(std::isnan(of_teacher.nll));
}

TEST(TokenScores, ShapesThatDoNotFitAreRefused) {
  TokenScores sums;
  EXPECT_THROW(add_token_scores(logits(1), Tensor(), next_ids().rows(0, 3), sums),
               std::invalid_argument);
  EXPECT_THROW(add_token_scores(logits(1), logits(2).rows(0, 3), next_ids(), sums),
               std::invalid_argument);
}

}  // namespace
}  // namespace halftone
