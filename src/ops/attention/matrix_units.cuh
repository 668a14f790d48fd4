// Tiles in shared memory and the matrix units of one warp.
//
// A warp multiplies 16 rows by tiles of 64: mma.sync m16n8k16 with A (16 x 16, its rows in
// registers), B (16 x 8) and sums C (16 x 8, F32). A lane holds of C the columns 2 (lane mod 4) and
// the next, in rows lane / 4 and lane / 4 + 8. Sums of one product are the A of the next without
// leaving their lanes.
#pragma once

#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {

constexpr int kTile = 64;          // rows of a tile: queries or keys
constexpr int kTileThreads = 128;  // four warps of 16 rows

// A tile of kTile rows of D numbers; a row has 8 more, so that rows lie in different banks.
template <int D>
constexpr int kPitch = D + 8;
template <int D>
constexpr int kTileNumbers = kTile* kPitch<D>;

__device__ inline uint32_t shared_address(const bf16* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// Rows [first, first + kTile) of a matrix into a tile, beside the computation; rows from `rows` on
// are zero.
template <int D>
__device__ inline void load_tile(bf16* tile, const bf16* from, int64_t stride, int64_t first,
                                 int64_t rows) {
  constexpr int kChunks = D / 8;
#pragma unroll
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kChunks; i += kTileThreads) {
    const int row = i / kChunks, chunk = i % kChunks;
    const bool inside = first + row < rows;
    const bf16* source = from + (inside ? first + row : 0) * stride + chunk * 8;
    const int bytes = inside ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(
                     shared_address(tile + row * kPitch<D> + chunk * 8)),
                 "l"(source), "r"(bytes));
  }
}
__device__ inline void commit_loads() {
  asm volatile("cp.async.commit_group;\n");
}
__device__ inline void wait_for_loads() {
  asm volatile("cp.async.wait_group 0;\n");
}

using Fragment = uint32_t[4];

__device__ inline void load_matrices(Fragment& r, const bf16* p) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(p)));
}
__device__ inline void load_transposed(Fragment& r, const bf16* p) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(p)));
}

// A: rows [row, row + 16), columns [column, column + 16) of a tile.
template <int D>
__device__ inline void load_a(Fragment& a, const bf16* tile, int row, int column) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  load_matrices(a, tile + (row + lane % 16) * kPitch<D> + column + lane / 16 * 8);
}
// Two B side by side of the transposed tile: its rows [row, row + 16) are the columns of B.
template <int D>
__device__ inline void load_b_of_rows(Fragment& b, const bf16* tile, int row, int column) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  load_matrices(b, tile + (row + lane / 16 * 8 + lane % 8) * kPitch<D> + column + lane / 8 % 2 * 8);
}
// Two B side by side of the tile itself: rows [row, row + 16), columns [column, column + 16).
template <int D>
__device__ inline void load_b(Fragment& b, const bf16* tile, int row, int column) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  load_transposed(b, tile + (row + lane % 16) * kPitch<D> + column + lane / 16 * 8);
}

__device__ inline void multiply(float (&c)[4], const Fragment& a, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline uint32_t pair(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<const uint32_t&>(both);
}

// Sums of 16 rows and N columns.
template <int N>
using Sums = float[N / 8][4];

template <int N>
__device__ inline void clear(Sums<N>& c) {
#pragma unroll
  for (int i = 0; i < N / 8; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) c[i][j] = 0;
}

// c = A T^T: A 16 x D held in registers, T a tile of 64 rows.
template <int D>
__device__ inline void product_with_rows(const Fragment (&a)[D / 16], const bf16* tile,
                                         Sums<kTile>& c) {
  clear<kTile>(c);
#pragma unroll
  for (int k = 0; k < D / 16; ++k)
#pragma unroll
    for (int n = 0; n < kTile / 16; ++n) {
      Fragment b;
      load_b_of_rows<D>(b, tile, 16 * n, 16 * k);
      multiply(c[2 * n], a[k], b[0], b[1]);
      multiply(c[2 * n + 1], a[k], b[2], b[3]);
    }
}

// c += P T: P 16 x 64 as sums of an earlier product, T a tile of 64 rows.
template <int D>
__device__ inline void add_product(const Sums<kTile>& p, const bf16* tile, Sums<D>& c) {
#pragma unroll
  for (int k = 0; k < kTile / 16; ++k) {
    const Fragment a{pair(p[2 * k][0], p[2 * k][1]), pair(p[2 * k][2], p[2 * k][3]),
                     pair(p[2 * k + 1][0], p[2 * k + 1][1]),
                     pair(p[2 * k + 1][2], p[2 * k + 1][3])};
#pragma unroll
    for (int n = 0; n < D / 16; ++n) {
      Fragment b;
      load_b<D>(b, tile, 16 * k, 16 * n);
      multiply(c[2 * n], a, b[0], b[1]);
      multiply(c[2 * n + 1], a, b[2], b[3]);
    }
  }
}

// Rows [row, row + 16) of c, times a factor each, into a matrix with `rows` rows.
template <int D>
__device__ inline void store_rows(const Sums<D>& c, float first, float second, int64_t row,
                                  int64_t rows, int64_t stride, bf16* to) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t upper = row + lane / 4, lower = upper + 8;
#pragma unroll
  for (int n = 0; n < D / 8; ++n) {
    const int column = 8 * n + 2 * (lane % 4);
    if (upper < rows)
      *reinterpret_cast<uint32_t*>(to + upper * stride + column) =
          pair(c[n][0] * first, c[n][1] * first);
    if (lower < rows)
      *reinterpret_cast<uint32_t*>(to + lower * stride + column) =
          pair(c[n][2] * second, c[n][3] * second);
  }
}

}  // namespace halftone::cuda
