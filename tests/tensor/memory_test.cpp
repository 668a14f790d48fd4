#include "halftone/tensor/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "halftone/base/rng.h"
#include "halftone/tensor/tensor.h"

namespace halftone {
namespace {

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

TEST(Memory, SmallFreedBlocksAreUsedAgainByTheirThread) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "under a sanitizer blocks come from malloc";
#endif
  const size_t before = allocated_bytes();
  for (const int64_t size : {1, 16, 17, 576, 4000, 12000}) {
    const void* first = Tensor::zeros({size}, DType::f32).raw();
    EXPECT_EQ(Tensor::zeros({size}, DType::f32).raw(), first);
    EXPECT_EQ(reinterpret_cast<size_t>(first) % 64, 0u);
    EXPECT_NE(Tensor::zeros({size + 2048}, DType::f32).raw(), first);
  }
  EXPECT_EQ(allocated_bytes(), before);
}

TEST(Memory, ABlockMayBeFreedByAThreadThatEnds) {
  std::vector<Tensor> made(100);
  std::thread([&] {
    for (size_t i = 0; i < made.size(); ++i)
      made[i] =
          Tensor::full({static_cast<int64_t>(10 * i + 1)}, DType::f32, static_cast<double>(i));
  }).join();
  std::thread([&, taken = std::move(made)]() mutable {
    for (size_t i = 0; i < taken.size(); ++i) EXPECT_EQ(taken[i].data<float>()[10 * i], i);
    taken.clear();
  }).join();
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
