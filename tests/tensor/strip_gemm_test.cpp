#include "halftone/tensor/strip_gemm.h"

#include <gtest/gtest.h>

#include <stdexcept>

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
        const bool turned = tb == Transpose::yes;
        const int64_t ldb = (turned ? depth : columns) + 3, ldc = 320;
        const DType dtype = dtype_of<T>::value;
        const Tensor a = random_floats({kStripRows, kStripStride}, 1).to(dtype),
                     b = random_floats({turned ? columns : depth, ldb}, 2).to(dtype);
        Tensor c = random_floats({kStripRows, ldc}, 3).to(dtype);
        const Tensor before = c.clone();
        StripFactor<T>(tb, depth, columns, b.data<T>(), ldb)
            .multiply(n, k, a.data<T>(), add, c.data<T>(), ldc);
        double worst = 0;
        for (int64_t i = 0; i < kStripRows; ++i)
          for (int64_t j = 0; j < ldc; ++j) {
            if (j >= n && j < (n + kStripColumns - 1) / kStripColumns * kStripColumns) continue;
            double sum = add || j >= n ? before.data<T>()[i * ldc + j] : 0;
            for (int64_t d = 0; j < n && d < k; ++d)
              sum += static_cast<double>(a.data<T>()[i * kStripStride + d]) *
                     b.data<T>()[turned ? j * ldb + d : d * ldb + j];
            worst = std::max(worst, std::abs(sum - c.data<T>()[i * ldc + j]));
          }
        EXPECT_LT(worst, tolerance)
            << turned << " " << depth << " " << columns << " " << k << " " << n << " " << add;
      }
}

TEST(StripGemm, IsThePlainTripleLoopOverPartOfTheFactor) {
  const Isa best = isa();
  for (const Isa each : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (each > cpu_isa()) break;
    set_isa(each);
    expect_plain_triple_loop<float>(2e-4);
  }
  set_isa(best);
  expect_plain_triple_loop<double>(1e-12);
}

TEST(StripGemm, RefusesAFactorThatAStripDoesNotReach) {
  const Tensor b = random_floats({289, 4}, 1);
  EXPECT_THROW(StripFactor<float>(Transpose::no, 289, 4, b.data<float>(), 4),
               std::invalid_argument);
}

}  // namespace
}  // namespace halftone
