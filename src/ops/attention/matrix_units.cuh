// Tiles in shared memory and the matrix units of one warp.
//
// A warp multiplies R times 16 rows by tiles of 64: mma.sync m16n8k16 with A (16 x 16), B (16 x 8)
// and sums C (16 x 8, F32). A lane holds of C the columns 2 (lane mod 4) and the next, in rows
// lane / 4 and lane / 4 + 8. Sums of one product are the A of the next without leaving their lanes.
// What is read of a tile serves all R: shared memory gives no more than the units take at R = 1.
#pragma once

#include "tensor/cuda/kernels.cuh"

namespace halftone::cuda {

constexpr int kTile = 64;  // rows of a tile: queries or keys
constexpr int kTileWarps = 4, kTileThreads = kTileWarps * kWarp;
template <int R>
constexpr int kBlockRows = kTileWarps* R * 16;  // of the side that a block keeps

// A tile of kTile rows of D numbers; a row has 8 more, so that rows lie in different banks.
template <int D>
constexpr int kPitch = D + 8;
template <int D, int rows = kTile>
constexpr int kTileNumbers = rows* kPitch<D>;

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// Rows [first, first + N) of a matrix into a tile, beside the computation; rows from `rows` on are
// zero.
template <int D, int N = kTile>
__device__ inline void load_tile(bf16* tile, const bf16* from, int stride, int first, int rows) {
  constexpr int kChunks = D / 8;
#pragma unroll
  for (int i = static_cast<int>(threadIdx.x); i < N * kChunks; i += kTileThreads) {
    const int row = i / kChunks, chunk = i % kChunks;
    const bool inside = first + row < rows;
    const bf16* source = from + int64_t{inside ? first + row : 0} * stride + chunk * 8;
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

// 2^x; below 2^-126 it is 0.
__device__ inline float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}

// Sums of R times 16 rows and N columns.
template <int R, int N>
using Sums = float[R][N / 8][4];

// body(r, n, j) for each sum c[r][n][j] of a lane.
template <int R, int N, class Body>
__device__ inline void for_each_sum(const Body& body) {
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int n = 0; n < N / 8; ++n)
#pragma unroll
      for (int j = 0; j < 4; ++j) body(r, n, j);
}

template <int R, int N>
__device__ inline void clear(Sums<R, N>& c) {
  for_each_sum<R, N>([&](int r, int n, int j) { c[r][n][j] = 0; });
}

// A of rows that a warp keeps: in registers, or in shared memory, where they are read at each use.
template <int D, int R>
struct KeptRows {
  Fragment a[R][D / 16];
  __device__ KeptRows(const bf16* tile, int row) {
#pragma unroll
    for (int r = 0; r < R; ++r)
#pragma unroll
      for (int k = 0; k < D / 16; ++k) load_a<D>(a[r][k], tile, row + 16 * r, 16 * k);
  }
  __device__ void at(int r, int k, Fragment& out) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) out[i] = a[r][k][i];
  }
};

template <int D, int R>
struct ReadRows {
  const bf16* tile;
  int row;
  __device__ ReadRows(const bf16* from, int first) : tile(from), row(first) {}
  __device__ void at(int r, int k, Fragment& out) const {
    load_a<D>(out, tile, row + 16 * r, 16 * k);
  }
};

// c = A T^T: T the rows [first, first + N) of a tile.
template <int D, int R, int N, class Rows>
__device__ inline void product_with_rows(const Rows& rows, const bf16* tile, int first,
                                         Sums<R, N>& c) {
  clear<R, N>(c);
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    Fragment a[R];
#pragma unroll
    for (int r = 0; r < R; ++r) rows.at(r, k, a[r]);
#pragma unroll
    for (int n = 0; n < N / 16; ++n) {
      Fragment b;
      load_b_of_rows<D>(b, tile, first + 16 * n, 16 * k);
#pragma unroll
      for (int r = 0; r < R; ++r) {
        multiply(c[r][2 * n], a[r], b[0], b[1]);
        multiply(c[r][2 * n + 1], a[r], b[2], b[3]);
      }
    }
  }
}

// c += P T: P sums of an earlier product, T the rows [first, first + N) of a tile.
template <int D, int R, int N>
__device__ inline void add_product(const Sums<R, N>& p, const bf16* tile, int first,
                                   Sums<R, D>& c) {
#pragma unroll
  for (int k = 0; k < N / 16; ++k) {
    Fragment a[R];
#pragma unroll
    for (int r = 0; r < R; ++r)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        a[r][i] = pair(p[r][2 * k + i / 2][i % 2 * 2], p[r][2 * k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
    for (int n = 0; n < D / 16; ++n) {
      Fragment b;
      load_b<D>(b, tile, first + 16 * k, 16 * n);
#pragma unroll
      for (int r = 0; r < R; ++r) {
        multiply(c[r][2 * n], a[r], b[0], b[1]);
        multiply(c[r][2 * n + 1], a[r], b[2], b[3]);
      }
    }
  }
}

// Rows from `row` on of c, times a factor each, into a matrix with `rows` rows; factors[r][i] is
// that of row 16 r + 8 i + lane / 4.
template <int R, int D>
__device__ inline void store_rows(const Sums<R, D>& c, const float (&factors)[R][2], int row,
                                  int rows, int stride, bf16* to) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int at = row + 16 * r + 8 * i + lane / 4;
      if (at >= rows) continue;
#pragma unroll
      for (int n = 0; n < D / 8; ++n)
        *reinterpret_cast<uint32_t*>(to + int64_t{at} * stride + 8 * n + 2 * (lane % 4)) =
            pair(c[r][n][2 * i] * factors[r][i], c[r][n][2 * i + 1] * factors[r][i]);
    }
}

}  // namespace halftone::cuda
