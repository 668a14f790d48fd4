#include "halftone/tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "halftone/base/rng.h"
#include "halftone/tensor/gemm.h"
#include "halftone/tensor/linalg.h"
#include "halftone/tensor/memory.h"
#include "halftone/tensor/packed_signs.h"

namespace halftone {
namespace {

Tensor random_matrix(int64_t n, int64_t m, uint64_t seed) {
  Tensor out = Tensor::uninitialized({n, m}, DType::f64);
  Rng rng(seed, RngStream::test);
  for (int64_t i = 0; i < n * m; ++i) out.data<double>()[i] = rng.normal();
  return out;
}

Tensor product(Transpose ta, Transpose tb, const Tensor& a, const Tensor& b) {
  Tensor c = Tensor::uninitialized(
      {a.dim(ta == Transpose::no ? 0 : 1), b.dim(tb == Transpose::no ? 1 : 0)}, a.dtype());
  gemm(ta, tb, a, b, 0, c);
  return c;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double worst = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    worst = std::max(worst, std::abs(a.data<double>()[i] - b.data<double>()[i]));
  return worst;
}

TEST(Tensor, CopiesShareNumbersAndClonesDoNot) {
  Tensor a = Tensor::of<float>({2, 2}, {1, 2, 3, 4});
  const Tensor handle = a, copy = a.clone();
  a.data<float>()[0] = 9;
  EXPECT_EQ(handle.data<float>()[0], 9);
  EXPECT_EQ(copy.data<float>()[0], 1);
  EXPECT_EQ(a.rows(1, 2).data<float>()[0], 3);
  EXPECT_THROW(a.data<double>(), std::invalid_argument);
  EXPECT_THROW(a.rows(1, 3), std::invalid_argument);
  EXPECT_THROW(a.reshape({3}), std::invalid_argument);
  EXPECT_THROW(Tensor::of<float>({3}, {1, 2}), std::invalid_argument);
  EXPECT_THROW(numel({int64_t{1} << 40, int64_t{1} << 40}), std::invalid_argument);
}

TEST(Tensor, NumbersOfAMappedFileAreReadOnly) {
  const auto numbers = std::make_shared<std::vector<float>>(6, 1.5f);
  Tensor x = Tensor::view(numbers, numbers->data(), {2, 3}, DType::f32);
  EXPECT_THROW(x.data<float>(), std::invalid_argument);
  EXPECT_THROW(x.raw(), std::invalid_argument);
  EXPECT_THROW(x.fill(0), std::invalid_argument);
  EXPECT_THROW(x.rows(0, 1).fill(0), std::invalid_argument);
  EXPECT_EQ(std::as_const(x).data<float>()[5], 1.5f);
  Tensor copy = x.clone(), result = x.reused();
  copy.fill(2);
  result.fill(3);
  EXPECT_EQ((*numbers)[0], 1.5f);
}

TEST(Tensor, DoesNotReachBeyondItsStorage) {
  const auto numbers = std::make_shared<std::vector<float>>(6, 1.5f);
  const Storage storage{.owner = numbers, .pointer = numbers->data(), .bytes = 24};
  EXPECT_EQ(Tensor::of(storage, {2, 3}, DType::f32).numel(), 6);
  EXPECT_THROW(Tensor::of(storage, {7}, DType::f32), std::invalid_argument);
}

TEST(Tensor, OfAnotherDeviceIsNotReadHere) {
  const auto numbers = std::make_shared<std::vector<float>>(6, 1.5f);
  const Tensor x = Tensor::of(
      {.owner = numbers, .pointer = numbers->data(), .bytes = 24, .device = Device::cuda}, {6},
      DType::f32);
  EXPECT_THROW(x.data<float>(), std::invalid_argument);
}

TEST(Tensor, ConvertsAmongFloatingDtypes) {
  const Tensor a = Tensor::of<float>({3}, {1.0f, -0.333333f, 70000.0f});
  EXPECT_EQ(a.to(DType::f64).data<double>()[1], static_cast<double>(-0.333333f));
  EXPECT_TRUE(std::isinf(a.to(DType::f16).to(DType::f32).data<float>()[2]));
  EXPECT_NEAR(a.to(DType::bf16).to(DType::f32).data<float>()[1], -0.333333, 2e-3);
}

TEST(Gemm, EqualsThePlainLoopForEveryTransposition) {
  const int64_t m = 7, n = 5, k = 9;
  for (Transpose ta : {Transpose::no, Transpose::yes})
    for (Transpose tb : {Transpose::no, Transpose::yes}) {
      const Tensor a = ta == Transpose::no ? random_matrix(m, k, 1) : random_matrix(k, m, 1);
      const Tensor b = tb == Transpose::no ? random_matrix(k, n, 2) : random_matrix(n, k, 2);
      const Tensor c = product(ta, tb, a, b);
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (int64_t p = 0; p < k; ++p)
            sum += a.data<double>()[ta == Transpose::no ? i * k + p : p * m + i] *
                   b.data<double>()[tb == Transpose::no ? p * n + j : j * k + p];
          EXPECT_NEAR(c.data<double>()[i * n + j], sum, 1e-13);
        }
    }
}

// The BLAS may have picked kernels for the CPU: they must be right at awkward sizes too.
TEST(Gemm, FloatAgreesWithDoubleAtManySizes) {
  for (int64_t m : {1, 3, 16, 33})
    for (int64_t n : {1, 17, 64, 129})
      for (int64_t k : {1, 5, 96, 257}) {
        const Tensor a = random_matrix(m, k, 1), b = random_matrix(n, k, 2);
        const Tensor wide = product(Transpose::no, Transpose::yes, a, b);
        const Tensor narrow =
            product(Transpose::no, Transpose::yes, a.to(DType::f32), b.to(DType::f32));
        EXPECT_LT(largest_difference(wide, narrow.to(DType::f64)), 1e-5 * static_cast<double>(k))
            << m << " " << n << " " << k;
      }
}

TEST(Linalg, TheInverseFactorIsTheCholeskyFactorOfTheInverse) {
  Rng rng(3, 1);
  for (const int64_t n : {1, 70, 300}) {  // 300: three blocks of columns
    Tensor b = Tensor::uninitialized({n, n + 9}, DType::f64), a = Tensor::zeros({n, n}, DType::f64);
    for (int64_t i = 0; i < b.numel(); ++i) b.data<double>()[i] = rng.normal();
    gemm(Transpose::no, Transpose::yes, b, b, 0, a);
    const Tensor expected = cholesky_upper(inverse_positive_definite(a)),
                 found = inverse_cholesky_upper(a);
    for (int64_t i = 0; i < n * n; ++i)
      EXPECT_NEAR(found.data<double>()[i], expected.data<double>()[i], 1e-9) << n;
    a.data<double>()[0] = -1;
    EXPECT_THROW(inverse_cholesky_upper(a), Error);
  }
}

TEST(Linalg, CholeskyAndInverseUndoTheirMatrix) {
  const Tensor x = random_matrix(40, 12, 3);
  const Tensor a = product(Transpose::yes, Transpose::no, x, x);
  const Tensor u = cholesky_upper(a);
  EXPECT_LT(largest_difference(product(Transpose::yes, Transpose::no, u, u), a), 1e-11);
  for (int64_t i = 0; i < 12; ++i) {
    EXPECT_GT(u.data<double>()[i * 12 + i], 0);
    for (int64_t j = 0; j < i; ++j) EXPECT_EQ(u.data<double>()[i * 12 + j], 0);
  }
  Tensor identity = Tensor::zeros({12, 12}, DType::f64);
  for (int64_t i = 0; i < 12; ++i) identity.data<double>()[i * 12 + i] = 1;
  EXPECT_LT(largest_difference(
                product(Transpose::no, Transpose::no, a, inverse_positive_definite(a)), identity),
            1e-11);
  EXPECT_THROW(cholesky_upper(Tensor::zeros({3, 3}, DType::f64)), Error);
}

TEST(Linalg, SingularValuesRebuildTheMatrix) {
  const Tensor a = random_matrix(9, 6, 4);
  SingularValues d = singular_value_decomposition(a);
  for (int64_t i = 0; i + 1 < 6; ++i) EXPECT_GE(d.s.data<double>()[i], d.s.data<double>()[i + 1]);
  for (int64_t i = 0; i < 9; ++i)
    for (int64_t j = 0; j < 6; ++j) d.u.data<double>()[i * 6 + j] *= d.s.data<double>()[j];
  EXPECT_LT(largest_difference(product(Transpose::no, Transpose::yes, d.u, d.v), a), 1e-13);
}

TEST(PackedSigns, ComeBackAndHaveTheReleasedLayout) {
  const Tensor w = Tensor::of<float>(
      {2, 10}, {-1, 1, 1, -2, 0.0f, -0.0f, 3, -4, -5, 6, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1});
  const Tensor packed = pack_signs(w);
  ASSERT_EQ(packed.shape(), (Shape{2, 2}));
  EXPECT_EQ(packed.data<uint8_t>()[0], 0b10001001);  // bit b is column b, 1 = -1; zeros are +1
  EXPECT_EQ(packed.data<uint8_t>()[1], 0b00000001);
  EXPECT_EQ(packed.data<uint8_t>()[3], 0b00000010);
  const Tensor back = unpack_signs(packed, 10);
  for (int64_t i = 0; i < 20; ++i)
    EXPECT_EQ(back.data<float>()[i], w.data<float>()[i] >= 0 ? 1 : -1);
  EXPECT_THROW(unpack_signs(packed, 17), std::invalid_argument);
}

TEST(Memory, FreedBlocksAreUsedAgain) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "under a sanitizer blocks come from malloc";
#endif
  release_kept_memory();
  const size_t before = allocated_bytes();
  const void* first = Tensor::zeros({1 << 18}, DType::f32).raw();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Tensor::zeros({1 << 18}, DType::f32).raw(), first);
  EXPECT_EQ(allocated_bytes(), before);
}

TEST(Memory, NeighboursThatAreFreeServeALargerRequest) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "under a sanitizer blocks come from malloc";
#endif
  release_kept_memory();
  std::vector<Tensor> parts;
  for (int i = 0; i < 8; ++i) parts.push_back(Tensor::uninitialized({1 << 20}, DType::f32));
  const void* first = std::min_element(parts.begin(), parts.end(), [](auto& a, auto& b) {
                        return a.raw() < b.raw();
                      })->raw();
  for (int i : {1, 3, 0, 2, 7, 5, 6, 4}) parts[i] = {};  // joins with the next, the previous, both
  EXPECT_EQ(Tensor::uninitialized({8 << 20}, DType::f32).raw(), first);
}

TEST(Memory, BlocksInUseNeverOverlap) {
  Rng rng(3, 1);
  std::vector<Tensor> held(64);
  for (int round = 0; round < 4000; ++round) {
    const size_t at = rng.below(held.size());
    if (held[at].defined()) {
      const float expected = static_cast<float>(at);
      for (int64_t i = 0; i < held[at].numel(); i += 1023)
        ASSERT_EQ(held[at].data<float>()[i], expected);
    }
    held[at] = {};
    if (round % 500 == 499) release_kept_memory();
    held[at] = Tensor::full({static_cast<int64_t>(1 + rng.below(1 << 17))}, DType::f32,
                            static_cast<double>(at));
  }
}

TEST(Memory, ThePeakIsTheMostInUse) {
  reset_peak_allocated_bytes();
  const size_t before = allocated_bytes();
  { const Tensor big = Tensor::uninitialized({1 << 20}, DType::f32); }
  EXPECT_EQ(peak_allocated_bytes() - before, size_t{4} << 20);
  reset_peak_allocated_bytes();
  EXPECT_EQ(peak_allocated_bytes(), before);
}

TEST(Memory, AnImpossibleRequestIsAnErrorOfItsKind) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer's allocator stops the program";
#endif
  try {
    Tensor::uninitialized({int64_t{1} << 58}, DType::f32);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::memory);
  }
}

}  // namespace
}  // namespace halftone
