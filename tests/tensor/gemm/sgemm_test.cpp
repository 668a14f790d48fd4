#include "tensor/gemm/sgemm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/gemm.h"
#include "tensor/tensor_testing.h"

namespace halftone {
namespace {

struct Case {
  int64_t m, n, k;
};

class Sgemm : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!has_sgemm()) GTEST_SKIP() << "needs AVX2";
  }
};

// A factor of each kind on the same storage, and its elements as doubles.
struct Stored {
  Tensor numbers, halves;
  int64_t columns;

  Stored(int64_t r, int64_t c, uint64_t stream)
      : numbers(random_floats({r, c + 3}, stream)), halves(numbers.to(DType::f16)), columns(c) {}
  Factor factor(Factor::Kind kind) const {
    if (kind == Factor::Kind::f32) return Factor::plain(numbers.data<float>(), columns + 3);
    return Factor::half(halves.data<half_t>(), columns + 3);
  }
  double at(Factor::Kind kind, int64_t r, int64_t c) const {
    const int64_t i = r * (columns + 3) + c;
    if (kind == Factor::Kind::f32) return numbers.data<float>()[i];
    return to_float(halves.data<half_t>()[i]);
  }
};

void expect_plain_triple_loop(const Case& size) {
  const auto [m, n, k] = size;
  using Kind = Factor::Kind;
  for (const Transpose ta : {Transpose::no, Transpose::yes})
    for (const Transpose tb : {Transpose::no, Transpose::yes})
      for (const auto& [ka, kb] :
           {std::pair{Kind::f32, Kind::f32}, {Kind::f32, Kind::f16}, {Kind::f16, Kind::f32}})
        for (const float beta : {0.0f, 1.0f}) {
          const bool at = ta == Transpose::yes, bt = tb == Transpose::yes;
          const Stored a(at ? k : m, at ? m : k, 10), b(bt ? n : k, bt ? k : n, 20);
          Tensor c = random_floats({m, n + 5}, 30);
          const Tensor before = c.clone();
          gemm(ta, tb, m, n, k, a.factor(ka), b.factor(kb), beta, c.data<float>(), n + 5);
          double worst = 0;
          for (int64_t i = 0; i < m; ++i)
            for (int64_t j = 0; j < n + 5; ++j) {
              const double old = before.data<float>()[i * (n + 5) + j];
              double sum = j < n ? beta * old : old;
              if (j < n)
                for (int64_t d = 0; d < k; ++d)
                  sum += a.at(ka, at ? d : i, at ? i : d) * b.at(kb, bt ? j : d, bt ? d : j);
              worst = std::max(worst, std::abs(sum - c.data<float>()[i * (n + 5) + j]));
            }
          EXPECT_LT(worst, 4e-6 * std::sqrt(static_cast<double>(k)) * 8)
              << at << bt << static_cast<int>(ka) << static_cast<int>(kb) << beta;
        }
}

TEST_P(Sgemm, IsThePlainTripleLoopForEveryKindAndTransposition) {
  expect_plain_triple_loop(GetParam());
}

class SgemmOnOneThread : public Sgemm {};

TEST_P(SgemmOnOneThread, IsThePlainTripleLoopForEveryKindAndTransposition) {
  set_threads(1);
  expect_plain_triple_loop(GetParam());
  set_threads(0);
}

// Rows, columns and depths on, below and above multiples of tiles and blocks; rows a page apart.
INSTANTIATE_TEST_SUITE_P(Sizes, Sgemm,
                         ::testing::Values(Case{12, 32, 4}, Case{1, 1, 1}, Case{13, 33, 257},
                                           Case{24, 48, 256}, Case{37, 97, 70}, Case{7, 1100, 9},
                                           Case{800, 40, 21}, Case{31, 20, 1021}));

// One thread has the widest blocks: as many columns and rows as are packed at a time, and more.
INSTANTIATE_TEST_SUITE_P(WidestBlocks, SgemmOnOneThread,
                         ::testing::Values(Case{40, 1024, 21}, Case{800, 40, 21}, Case{1584, 30, 9},
                                           Case{30, 1008, 200}));

TEST(SgemmThreads, AnyNumberOfThreadsGivesTheSameBits) {
  if (!has_sgemm()) GTEST_SKIP() << "needs AVX2";
  const Tensor a = random_floats({150, 300}, 1), b = random_floats({130, 300}, 2);
  const auto product = [&](int count) {
    set_threads(count);
    Tensor c = Tensor::zeros({150, 130}, DType::f32);
    gemm(Transpose::no, Transpose::yes, 150, 130, 300, Factor::plain(a.data<float>(), 300),
         Factor::plain(b.data<float>(), 300), 0, c.data<float>(), 130);
    return c;
  };
  const Tensor one = product(1);
  for (int count : {2, 3, 4}) {
    const Tensor many = product(count);
    for (int64_t i = 0; i < one.numel(); ++i)
      ASSERT_EQ(one.data<float>()[i], many.data<float>()[i]) << count << " threads, element " << i;
  }
  set_threads(0);
}

TEST(SgemmKinds, SmallProductsOfHalvesAreTheSame) {
  const Stored weights(5, 7, 40);
  const Tensor x = random_floats({3, 7}, 50);
  Tensor y = Tensor::zeros({3, 5}, DType::f32);
  gemm(Transpose::no, Transpose::yes, 3, 5, 7, Factor::plain(x.data<float>(), 7),
       weights.factor(Factor::Kind::f16), 0, y.data<float>(), 5);
  for (int64_t i = 0; i < 3; ++i)
    for (int64_t o = 0; o < 5; ++o) {
      double sum = 0;
      for (int64_t j = 0; j < 7; ++j)
        sum += x.data<float>()[i * 7 + j] * weights.at(Factor::Kind::f16, o, j);
      EXPECT_NEAR(y.data<float>()[i * 5 + o], sum, 1e-5);
    }
}

}  // namespace
}  // namespace halftone
