#include "ops/attention/row_tile_gemm.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <stdexcept>

#include "halftone/base/rounding.h"
#include "halftone/base/simd.h"
#include "tensor/tensor_testing.h"

namespace halftone {
namespace {

// Over part of a factor's rows and columns, as the causal mask asks for it.
template <class T>
void expect_plain_triple_loop(double tolerance) {
  for (const Transpose tb : {Transpose::no, Transpose::yes})
    for (const auto& [depth, columns, k, n] : {std::array<int64_t, 4>{64, 256, 64, 256},
                                               {288, 288, 288, 288},
                                               {33, 50, 33, 17},
                                               {200, 70, 101, 70},
                                               {1, 1, 1, 1},
                                               {8, 9, 0, 9},
                                               {8, 9, 8, 0}})
      for (const bool add : {false, true}) {
        const bool transposed = tb == Transpose::yes;
        const int64_t ldb = (transposed ? depth : columns) + 3, ldc = 320;
        const DType dtype = dtype_of<T>::value;
        const Tensor a = random_floats({kRowTileRows, kRowTileStride}, 1).to(dtype),
                     b = random_floats({transposed ? columns : depth, ldb}, 2).to(dtype);
        Tensor c = random_floats({kRowTileRows, ldc}, 3).to(dtype);
        const Tensor before = c.clone();
        RowTileFactor<T>(tb, depth, columns, b.data<T>(), ldb)
            .multiply(n, k, a.data<T>(), kRowTileStride, add, c.data<T>(), ldc);
        double worst = 0;
        for (int64_t i = 0; i < kRowTileRows; ++i)
          for (int64_t j = 0; j < ldc; ++j) {
            if (j >= n && j < (n + kRowTileColumns - 1) / kRowTileColumns * kRowTileColumns)
              continue;
            double sum = add || j >= n ? before.data<T>()[i * ldc + j] : 0;
            for (int64_t d = 0; j < n && d < k; ++d)
              sum += static_cast<double>(a.data<T>()[i * kRowTileStride + d]) *
                     b.data<T>()[transposed ? j * ldb + d : d * ldb + j];
            worst = std::max(worst, std::abs(sum - c.data<T>()[i * ldc + j]));
          }
        EXPECT_LT(worst, tolerance)
            << transposed << " " << depth << " " << columns << " " << k << " " << n << " " << add;
      }
}

// A has zeros above a diagonal, and only its first ones are read: what follows them is not a
// number.
template <class T>
void expect_plain_triple_loop_transposed(double tolerance) {
  for (const auto& [m, n, k, diagonal] : {std::array<int64_t, 4>{96, 32, 96, 0},
                                          {256, 64, 96, 160},
                                          {100, 40, 37, 63},
                                          {30, 70, 96, -20},
                                          {5, 1, 3, 2}}) {
    const int64_t lda = 288, ldc = 96, rows = round_up(m, kRowTileRows);
    const DType dtype = dtype_of<T>::value;
    Tensor a = random_floats({k, lda}, 1).to(dtype);
    const Tensor b = random_floats({k, n}, 2).to(dtype);
    for (int64_t r = 0; r < k; ++r)
      for (int64_t i = std::max<int64_t>(r + diagonal + 1, 0); i < lda; ++i)
        a.data<T>()[r * lda + i] =
            i <= r + diagonal + RowTileFactor<T>::kAboveDiagonal ? T(0) : T(NAN);
    Tensor c = random_floats({rows, ldc}, 3).to(dtype);
    const Tensor before = c.clone();
    RowTileFactor<T>(Transpose::no, k, n, b.data<T>(), n)
        .multiply_transposed(m, n, k, diagonal, a.data<T>(), lda, c.data<T>(), ldc);
    double worst = 0;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = before.data<T>()[i * ldc + j];
        for (int64_t r = std::max<int64_t>(i - diagonal, 0); r < k; ++r)
          sum += static_cast<double>(a.data<T>()[r * lda + i]) * b.data<T>()[r * n + j];
        worst = std::max(worst, std::abs(sum - c.data<T>()[i * ldc + j]));
        if (!(worst < tolerance)) {
          FAIL() << m << " " << n << " " << k << " " << diagonal << ": " << i << " " << j << " "
                 << worst;
        }
      }
  }
}

template <class Check>
void on_every_isa(const Check& check) {
  const Isa best = isa();
  for (const Isa each : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (each > cpu_isa()) break;
    set_isa(each);
    check();
  }
  set_isa(best);
}

TEST(RowTileGemm, IsThePlainTripleLoopOverPartOfTheFactor) {
  on_every_isa([] { expect_plain_triple_loop<float>(2e-4); });
  expect_plain_triple_loop<double>(1e-12);
}

TEST(RowTileGemm, TransposedIsThePlainTripleLoopBelowTheDiagonal) {
  on_every_isa([] { expect_plain_triple_loop_transposed<float>(2e-4); });
  expect_plain_triple_loop_transposed<double>(1e-12);
}

TEST(RowTileGemm, RefusesAFactorThatARowTileDoesNotReach) {
  const Tensor b = random_floats({289, 4}, 1);
  EXPECT_THROW(RowTileFactor<float>(Transpose::no, 289, 4, b.data<float>(), 4),
               std::invalid_argument);
}

}  // namespace
}  // namespace halftone
