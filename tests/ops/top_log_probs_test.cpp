#include "halftone/ops/top_log_probs.h"

#include <cmath>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

// Logits that are the rows of `hidden` themselves: the weight is the identity.
Tensor identity(int64_t v) {
  Tensor out = Tensor::zeros({v, v}, DType::f64);
  for (int64_t i = 0; i < v; ++i) out.data<double>()[i * v + i] = 1;
  return out;
}

std::vector<int32_t> ids_of(const TopLogProbs& top) {
  return {top.ids.data<int32_t>(), top.ids.data<int32_t>() + top.ids.numel()};
}

TEST(TopLogProbs, AreTheLargestOfTheLogSoftmaxByAscendingId) {
  const int64_t n = 300, v = 11, k = 4;  // more rows than logits exist for at a time
  const double tau = 1.7;
  const Tensor z = random_tensor({n, v}, 1, 3);
  const TopLogProbs top = top_log_probs(z, identity(v), k, tau);
  for (int64_t i = 0; i < n; ++i) {
    const double* row = z.data<double>() + i * v;
    std::vector<std::pair<double, int32_t>> order;
    double sum = 0;
    for (int64_t j = 0; j < v; ++j) {
      sum += std::exp(row[j] / tau);
      order.emplace_back(-row[j], static_cast<int32_t>(j));
    }
    std::sort(order.begin(), order.end());
    std::vector<int32_t> expected;
    for (int64_t j = 0; j < k; ++j) expected.push_back(order[j].second);
    std::sort(expected.begin(), expected.end());
    for (int64_t j = 0; j < k; ++j) {
      EXPECT_EQ(top.ids.data<int32_t>()[i * k + j], expected[j]);
      const double log_p = row[expected[j]] / tau - std::log(sum);
      EXPECT_NEAR(to_float(top.log_probs.data<half_t>()[i * k + j]), log_p,
                  std::abs(log_p) / 2048 + 1e-7);
    }
  }
}

TEST(TopLogProbs, OfEqualLogitsTheSmallerIdsAreTaken) {
  const Tensor z = Tensor::of<double>({2, 5}, {1, 2, 1, 1, 2, 0, 0, 0, 0, 0});
  EXPECT_EQ(ids_of(top_log_probs(z, identity(5), 3, 1)), (std::vector<int32_t>{0, 1, 4, 0, 1, 2}));
}

TEST(TopLogProbs, AllIdsAreKeptAndTheLeastLikelyStayFinite) {
  const Tensor z = Tensor::of<double>({1, 3}, {0, -1e6, 2});
  const TopLogProbs top = top_log_probs(z, identity(3), 3, 1);
  EXPECT_EQ(ids_of(top), (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(to_float(top.log_probs.data<half_t>()[1]), -65504.0f);
}

TEST(TopLogProbs, LogitsThatAreNotFiniteAreANumericalErrorNamingTheToken) {
  Tensor z = random_tensor({6, 5}, 2);
  z.data<double>()[4 * 5 + 1] = std::nan("");
  try {
    top_log_probs(z.to(DType::f32), identity(5).to(DType::f32), 2, 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::numerical);
    EXPECT_NE(std::string(error.what()).find("token 4"), std::string::npos) << error.what();
  }
}

TEST(TopLogProbs, MoreIdsThanTheVocabularyAreRefused) {
  EXPECT_THROW(top_log_probs(random_tensor({2, 5}, 3), identity(5), 6, 1), std::invalid_argument);
  EXPECT_THROW(top_log_probs(random_tensor({2, 5}, 3), identity(5), 0, 1), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
