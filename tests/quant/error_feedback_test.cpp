#include "halftone/quant/error_feedback.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "quant_testing.h"

namespace halftone {
namespace {

Tensor doubles(int64_t n, int64_t m, uint64_t stream) {
  return Tensor::of({n, m}, testing::random_numbers(n * m, stream));
}

TEST(ErrorFeedback, LaterColumnsAreLoweredByTheErrorsTimesU) {
  const int64_t n = 3, m = 7, blocksize = 3;
  const PreparedHessian hessian{.upper = doubles(m, m, 1), .dead = {}};
  const Tensor errors = doubles(n, m, 2), start = doubles(n, m, 3);
  Tensor current = start.clone();
  std::vector<int64_t> firsts;
  feed_errors(current, hessian, blocksize, [&](const FeedbackBlock& block) {
    firsts.push_back(block.first);
    EXPECT_EQ(block.width, block.first == 6 ? 1 : 3);
    EXPECT_EQ(block.weights[block.stride], current.data<double>()[m + block.first]);
    EXPECT_EQ(block.upper[0], hessian.upper.data<double>()[block.first * m + block.first]);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < block.width; ++j)
        block.errors[i * block.width + j] = errors.data<double>()[i * m + block.first + j];
    return true;
  });
  EXPECT_EQ(firsts, (std::vector<int64_t>{0, 3, 6}));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < m; ++k) {
      double expected = start.data<double>()[i * m + k];
      for (int64_t j = 0; j < k / blocksize * blocksize; ++j)
        expected -= errors.data<double>()[i * m + j] * hessian.upper.data<double>()[j * m + k];
      EXPECT_NEAR(current.data<double>()[i * m + k], expected, 1e-13) << i << " " << k;
    }
}

TEST(ErrorFeedback, ABlockMayFeedNothing) {
  const PreparedHessian hessian{.upper = doubles(4, 4, 1), .dead = {}};
  const Tensor start = doubles(2, 4, 3);
  Tensor current = start.clone();
  feed_errors(current, hessian, 2, [](const FeedbackBlock& block) {
    block.errors[0] = NAN;
    return false;
  });
  for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(current.data<double>()[i], start.data<double>()[i]);
}

}  // namespace
}  // namespace halftone
