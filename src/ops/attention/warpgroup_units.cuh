// Tiles in shared memory and the matrix units of four warps together (wgmma of sm_90a): a warpgroup
// multiplies 64 rows by a tile of 64 keys or queries, which the units read where they lie.
//
// A tile's rows are cut into pieces of 64 numbers (128 bytes), one piece behind the other; of row r
// the 16 bytes number c lie at c xor (r mod 8), as the units want them. Sums lie in lanes as those
// of mma.sync do (matrix_units.cuh), a warp having 16 of the 64 rows.
#pragma once

#include "matrix_units.cuh"

namespace halftone::cuda {

constexpr int kGroupThreads = 4 * kWarp;
constexpr int kPiece = 64;  // numbers of a row that lie together

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HT_WARPGROUPS 1

// Rows of a matrix, `stride` numbers apart, that a warpgroup loads into tiles; those from `rows` on
// are zero.
template <int D>
struct PiecedRows {
  const bf16* from;
  int stride, rows;

  // Rows [first, first + kTile), beside the computation.
  __device__ void load(bf16* tile, int first) const {
    constexpr int kChunks = D / 8, kStep = kGroupThreads / kChunks;
    static_assert(kStep % 8 == 0);  // so that a thread's chunks lie alike in their rows
    const int thread = static_cast<int>(threadIdx.x), row = thread / kChunks,
              chunk = thread % kChunks;
    const bf16* source = from + int64_t{first + row} * stride + chunk * 8;
    const uint32_t to =
        shared_address(tile + (chunk / 8 * kTile + row) * kPiece + (chunk % 8 ^ row % 8) * 8);
#pragma unroll
    for (int i = 0; i < kTile; i += kStep) {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(
                       to + i * kPiece * static_cast<int>(sizeof(bf16))),
                   "l"(source), "r"(first + row + i < rows ? 16 : 0));
      source += kStep * stride;
    }
  }
};

// A number, or 0 in its place.
__device__ inline void load_number(float* to, const float* from, bool there) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(shared_address(to)),
               "l"(from), "r"(there ? 4 : 0));
}

// What this thread has loaded is there, and the units may read it once all threads have said so.
__device__ inline void pieces_are_there() {
  wait_for_loads();
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
}

// Where the units find rows of a piece: eight rows are 1,024 bytes.
__device__ inline uint64_t place_of(const bf16* p) {
  constexpr uint64_t kEightRows = 1024 >> 4, kSwizzle128 = 1;
  return (shared_address(p) & 0x3ffffu) >> 4 | uint64_t{1} << 16 | kEightRows << 32 |
         kSwizzle128 << 62;
}

#define HT_SUMS_32                                                                              \
  "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24," \
  "%25,%26,%27,%28,%29,%30,%31}"
#define HT_SUMS_4(c, n) "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]), "+f"(c[n][3])
#define HT_SUMS_OF(c)                                                                  \
  HT_SUMS_4(c, 0), HT_SUMS_4(c, 1), HT_SUMS_4(c, 2), HT_SUMS_4(c, 3), HT_SUMS_4(c, 4), \
      HT_SUMS_4(c, 5), HT_SUMS_4(c, 6), HT_SUMS_4(c, 7)

// c = (add ? c : 0) + A B^T: 64 rows of A, 64 of B, 16 numbers of each.
__device__ inline void multiply_places(float (*c)[4], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " HT_SUMS_32
      ", %32, %33, p, 1, 1, 0, 0;\n}\n"
      : HT_SUMS_OF(c)
      : "l"(a), "l"(b), "r"(add));
}
// c += A B: 64 rows of A and 16 of its columns in registers, 16 rows of B and 64 of its columns.
__device__ inline void multiply_held(float (*c)[4], const Fragment& a, uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " HT_SUMS_32
               ", {%32,%33,%34,%35}, %36, 1, 1, 1, 1;\n"
               : HT_SUMS_OF(c)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// Before the units are given sums and fragments that were written.
__device__ inline void begin_products() {
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
}
__device__ inline void end_products() {
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}
// All but the latest `Left` groups of products are done.
template <int Left>
__device__ inline void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(Left) : "memory");
}
// The compiler reads sums only behind this.
template <int N>
__device__ inline void settle(Sums<1, N>& c) {
  for_each_sum<1, N>([&](int r, int n, int j) { asm volatile("" : "+f"(c[r][n][j])::"memory"); });
}

// c = A B^T of a tile's 64 rows each.
template <int D>
__device__ inline void start_product(const bf16* a, const bf16* b, Sums<1, kTile>& c) {
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    const int at = k / 4 * kTile * kPiece + k % 4 * 16;
    multiply_places(c[0], place_of(a + at), place_of(b + at), k > 0);
  }
}

// P as the A of a product with a tile of 64 rows.
using HeldRows = Fragment[kTile / 16];
__device__ inline void hold(const Sums<1, kTile>& p, HeldRows& a) {
#pragma unroll
  for (int k = 0; k < kTile / 16; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      a[k][i] = pair(p[0][2 * k + i / 2][i % 2 * 2], p[0][2 * k + i / 2][i % 2 * 2 + 1]);
}

// c += P T.
template <int D>
__device__ inline void start_adding(const HeldRows& p, const bf16* tile, Sums<1, D>& c) {
#pragma unroll
  for (int k = 0; k < kTile / 16; ++k)
#pragma unroll
    for (int piece = 0; piece < D / kPiece; ++piece)
      multiply_held(&c[0][piece * kPiece / 8], p[k],
                    place_of(tile + (piece * kTile + 16 * k) * kPiece));
}

#endif

}  // namespace halftone::cuda
