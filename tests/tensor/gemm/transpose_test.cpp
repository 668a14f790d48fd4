#include "tensor/gemm/transpose.h"

#include <gtest/gtest.h>

#include <vector>

namespace halftone {
namespace {

template <class Vector>
void expect_transposed(int64_t n) {
  constexpr int64_t kRows = sizeof(Vector) / sizeof(float), kStride = kRows + 3;
  std::vector<float> numbers(kRows * n), out(n * kStride, -1.0f);
  const float* rows[kRows];
  for (int64_t i = 0; i < kRows * n; ++i) numbers[i] = static_cast<float>(i);
  for (int64_t r = 0; r < kRows; ++r) rows[r] = numbers.data() + r * n;
  simd([&]() HT_INLINE { transpose_rows<Vector>(n, rows, kStride, out.data()); });
  for (int64_t j = 0; j < n; ++j)
    for (int64_t i = 0; i < kStride; ++i)
      ASSERT_EQ(out[j * kStride + i], i < kRows ? rows[i][j] : -1.0f) << i << ", " << j;
}

TEST(TransposeRows, TurnsEveryRowOfAVectorAndNothingBeside) {
  for (int64_t n : {1, 4, 7, 32}) {
    expect_transposed<Four>(n);
    expect_transposed<Eight>(n);
    expect_transposed<Sixteen>(n);
  }
}

}  // namespace
}  // namespace halftone
