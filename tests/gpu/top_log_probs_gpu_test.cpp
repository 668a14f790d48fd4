// The likeliest ids of rows on a GPU: those of the CPU, ties included.
#include <gtest/gtest.h>

#include <cmath>

#include "halftone/base/half.h"
#include "halftone/base/rng.h"
#include "halftone/ops/top_log_probs.h"

namespace halftone {
namespace {

constexpr int64_t kRows = 300, kVocabulary = 1030;  // two chunks, more than twice the threads

// Multiples of 1/8, so that BF16 holds them and many are equal.
Tensor rows_of_eighths() {
  Tensor out = Tensor::zeros({kRows, kVocabulary}, DType::f32);
  Rng rng(7, RngStream::generate);
  for (int64_t i = 0; i < out.numel(); ++i)
    out.data<float>()[i] = static_cast<float>(static_cast<int64_t>(rng.below(200)) - 100) / 8;
  return out;
}

// Products with it are the rows themselves, to the bit.
Tensor identity() {
  Tensor out = Tensor::zeros({kVocabulary, kVocabulary}, DType::f32);
  for (int64_t j = 0; j < kVocabulary; ++j) out.data<float>()[j * kVocabulary + j] = 1;
  return out;
}

TopLogProbs on_gpu(const Tensor& rows, DType dtype, int64_t k, double temperature) {
  const auto there = [&](const Tensor& x) { return x.to(dtype).to(Device::cuda); };
  const TopLogProbs out = top_log_probs(there(rows), there(identity()), k, temperature);
  return {out.ids.to(Device::cpu), out.log_probs.to(Device::cpu)};
}

TEST(TopLogProbsOnGpu, AreThoseOfTheCpu) {
  const Tensor rows = rows_of_eighths();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const int64_t k : {int64_t{1}, int64_t{9}, int64_t{600}, kVocabulary}) {
      const TopLogProbs expected = top_log_probs(rows, identity(), k, 1.7),
                        got = on_gpu(rows, dtype, k, 1.7);
      for (int64_t i = 0; i < kRows * k; ++i) {
        ASSERT_EQ(got.ids.data<int32_t>()[i], expected.ids.data<int32_t>()[i]) << k << ": " << i;
        const float log_p = to_float(expected.log_probs.data<half_t>()[i]);
        ASSERT_NEAR(to_float(got.log_probs.data<half_t>()[i]), log_p, std::abs(log_p) / 1000 + 1e-6)
            << k << ": " << i;
      }
    }
  }
}

TEST(TopLogProbsOnGpu, LogitsThatAreNotFiniteAreNamed) {
  for (const float wrong : {std::nanf(""), INFINITY}) {
    Tensor rows = rows_of_eighths();
    rows.data<float>()[280 * kVocabulary + 600] = wrong;
    try {
      on_gpu(rows, DType::f32, 5, 1);
      FAIL() << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::numerical);
      EXPECT_NE(std::string(error.what()).find("token 280"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace halftone
