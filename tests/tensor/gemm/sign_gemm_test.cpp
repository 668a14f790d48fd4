#include "tensor/gemm/sign_gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "halftone/base/threads.h"
#include "tensor/tensor_testing.h"

namespace halftone {
namespace {

struct Case {
  int64_t tokens, inputs, outputs;
};

class SignGemm : public ::testing::TestWithParam<Case> {};

Tensor product(Transpose tw, const Tensor& x, const Tensor& w, const Tensor& x_scale,
               const Tensor& y_scale, double beta, const Tensor& before) {
  Tensor y = before.clone();
  sign_gemm(tw, x, w, x_scale, y_scale, beta, y);
  return y;
}

TEST_P(SignGemm, IsThePlainTripleLoop) {
  const auto [n, inputs, outputs] = GetParam();
  const Tensor x = random_floats({n, inputs}, 1), x_scale = random_floats({inputs}, 2),
               y_scale = random_floats({outputs}, 3), before = random_floats({n, outputs}, 4);
  for (const Transpose tw : {Transpose::yes, Transpose::no})
    for (const double beta : {0.0, 1.0}) {
      const bool transposed = tw == Transpose::yes;
      const Tensor w =
          random_floats({transposed ? outputs : inputs, transposed ? inputs : outputs}, 5);
      const Tensor y = product(tw, x, w, x_scale, y_scale, beta, before);
      double worst = 0;
      for (int64_t t = 0; t < n; ++t)
        for (int64_t o = 0; o < outputs; ++o) {
          double sum = 0;
          for (int64_t i = 0; i < inputs; ++i) {
            const float latent = w.data<float>()[transposed ? o * inputs + i : i * outputs + o];
            sum += (latent >= 0 ? 1.0 : -1.0) * x_scale.data<float>()[i] *
                   x.data<float>()[t * inputs + i];
          }
          sum = y_scale.data<float>()[o] * sum + beta * before.data<float>()[t * outputs + o];
          worst = std::max(worst, std::abs(sum - y.data<float>()[t * outputs + o]));
        }
      EXPECT_LT(worst, 4e-6 * std::sqrt(static_cast<double>(inputs)) * 8) << transposed << beta;
    }
}

// On, below and above multiples of groups, panels, blocks of tokens and chunks of tables.
INSTANTIATE_TEST_SUITE_P(Sizes, SignGemm,
                         ::testing::Values(Case{16, 64, 8}, Case{1, 1, 1}, Case{33, 257, 5},
                                           Case{5, 3, 130}, Case{48, 130, 66}, Case{64, 512, 31},
                                           Case{3, 20, 2100}));

// The rows of x are made block by block, and each row of y is seen once, whole.
TEST(SignGemm, StepsMakeEachRowBeforeAndSeeItAfter) {
  for (const auto& [n, inputs, outputs] : {Case{70, 40, 24}, Case{3, 40, 2100}, Case{1, 8, 8}}) {
    const Tensor x = random_floats({n, inputs}, 1), w = random_floats({outputs, inputs}, 2),
                 x_scale = random_floats({inputs}, 3), y_scale = random_floats({outputs}, 4);
    const Tensor expected =
        product(Transpose::yes, x, w, x_scale, y_scale, 0, Tensor::zeros({n, outputs}, DType::f32));
    Tensor made = Tensor::full({n, inputs}, DType::f32, NAN),
           y = Tensor::zeros({n, outputs}, DType::f32);
    std::vector<int> seen(n, 0);
    const auto make = [&](int64_t begin, int64_t end) {
      std::copy(x.data<float>() + begin * inputs, x.data<float>() + end * inputs,
                made.data<float>() + begin * inputs);
    };
    const auto see = [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * outputs; i < end * outputs; ++i)
        EXPECT_EQ(y.data<float>()[i], expected.data<float>()[i]) << i;
      for (int64_t i = begin; i < end; ++i) ++seen[i];
    };
    sign_gemm(Transpose::yes, made, w, x_scale, y_scale, 0, y, {.before = make, .after = see});
    EXPECT_EQ(seen, std::vector<int>(n, 1));
  }
}

TEST(SignGemm, ZeroCountsAsPlusOneWhateverItsSign) {
  Tensor w = Tensor::zeros({1, 2}, DType::f32);
  w.data<float>()[1] = -0.0f;
  const Tensor ones = Tensor::full({1, 2}, DType::f32, 1), two = Tensor::full({2}, DType::f32, 1),
               one = Tensor::full({1}, DType::f32, 1);
  EXPECT_EQ(product(Transpose::yes, ones, w, two, one, 0, Tensor::zeros({1, 1}, DType::f32)).item(),
            2);
}

TEST(SignGemm, AnyNumberOfThreadsGivesTheSameBits) {
  const Tensor x = random_floats({20, 300}, 1), w = random_floats({130, 300}, 2),
               x_scale = random_floats({300}, 3), y_scale = random_floats({130}, 4),
               before = Tensor::zeros({20, 130}, DType::f32);
  set_threads(1);
  const Tensor one = product(Transpose::yes, x, w, x_scale, y_scale, 0, before);
  for (int count : {2, 3, 4}) {
    set_threads(count);
    const Tensor many = product(Transpose::yes, x, w, x_scale, y_scale, 0, before);
    for (int64_t i = 0; i < one.numel(); ++i)
      ASSERT_EQ(one.data<float>()[i], many.data<float>()[i]) << count << " threads, element " << i;
  }
  set_threads(0);
}

TEST(SignGemm, ShapesThatDoNotFitAreRefused) {
  Tensor y = Tensor::zeros({2, 5}, DType::f32);
  EXPECT_THROW(sign_gemm(Transpose::yes, random_floats({2, 4}, 1), random_floats({5, 3}, 2),
                         random_floats({4}, 3), random_floats({5}, 4), 0, y),
               std::invalid_argument);
}

}  // namespace
}  // namespace halftone
