// Attention in tiles on the matrix units (Dao, 2023, arXiv 2307.08691, in idea): scores of 64
// queries by 64 keys live in registers. Backward recomputes them twice, once by queries for dq and
// once by keys for dk and dv, so that every sum belongs to one block and has one order.
#include "tensor_cores.cuh"

#include "matrix_units.cuh"
#include "passes.h"

namespace halftone::cuda {
namespace {

struct Shape {
  int64_t batch, queries, keys, heads, groups, window;
  float scale, binary;  // of scores; the same times log2 e
};

template <int D>
struct Operands {
  const bf16 *q, *k, *v;
  const bf16* dout;
  const float *lse_in, *delta;
  bf16 *out, *dq, *dk, *dv;
  float* lse;

  // Of one head: rows are `stride` apart.
  __device__ int64_t query_stride(const Shape& s) const { return s.heads * D; }
  __device__ int64_t key_stride(const Shape& s) const { return s.groups * D; }
  __device__ int64_t query_at(const Shape& s, int64_t b, int64_t h) const {
    return (b * s.queries * s.heads + h) * D;
  }
  __device__ int64_t key_at(const Shape& s, int64_t b, int64_t g) const {
    return (b * s.keys * s.groups + g) * D;
  }
};

// The keys that a tile of queries sees, in tiles; and the other way round.
struct Range {
  int64_t begin, end;
};
__device__ Range key_tiles(const Shape& s, int64_t first_query) {
  const int64_t offset = s.keys - s.queries, last_query = min(first_query + kTile, s.queries) - 1;
  const int64_t first = s.window ? max(int64_t{0}, first_query + offset - s.window + 1) : 0;
  return {first / kTile, (last_query + offset) / kTile + 1};
}
__device__ Range query_tiles(const Shape& s, int64_t first_key) {
  const int64_t offset = s.keys - s.queries, last_key = min(first_key + kTile, s.keys) - 1;
  const int64_t first = max(int64_t{0}, first_key - offset);
  const int64_t last =
      s.window ? min(s.queries - 1, last_key - offset + s.window - 1) : s.queries - 1;
  return {first / kTile, last < 0 ? 0 : last / kTile + 1};
}
__device__ bool visible(const Shape& s, int64_t query, int64_t key) {
  const int64_t last = query + s.keys - s.queries;
  return key <= last && (!s.window || key > last - s.window);
}
// Every query of the tile sees every key of the other.
__device__ bool all_visible(const Shape& s, int64_t first_query, int64_t first_key) {
  return first_query + kTile <= s.queries && first_key + kTile <= s.keys &&
         visible(s, first_query, first_key + kTile - 1) &&
         visible(s, first_query + kTile - 1, first_key);
}

__device__ float max_of_four(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ float sum_of_four(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

__device__ int lane() {
  return static_cast<int>(threadIdx.x) % kWarp;
}
__device__ int first_row() {  // of this warp in a tile
  return static_cast<int>(threadIdx.x) / kWarp * 16;
}

// One step of the running softmax over the scores of 64 keys; they become its numerators.
template <int D>
__device__ void softmax_step(const Shape& s, Sums<kTile>& p, float (&most)[2], float (&sum)[2],
                             Sums<D>& out) {
  float largest[2] = {most[0], most[1]};
#pragma unroll
  for (int n = 0; n < kTile / 8; ++n)
#pragma unroll
    for (int j = 0; j < 4; ++j) largest[j / 2] = fmaxf(largest[j / 2], p[n][j]);
  float keep[2], base[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    largest[r] = max_of_four(largest[r]);
    base[r] = largest[r] == -INFINITY ? 0.0f : largest[r] * s.binary;
    keep[r] = exp2f(most[r] * s.binary - base[r]);
    most[r] = largest[r];
    sum[r] *= keep[r];
  }
#pragma unroll
  for (int n = 0; n < kTile / 8; ++n)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      p[n][j] = exp2f(p[n][j] * s.binary - base[j / 2]);
      sum[j / 2] += p[n][j];
    }
#pragma unroll
  for (int n = 0; n < D / 8; ++n)
#pragma unroll
    for (int j = 0; j < 4; ++j) out[n][j] *= keep[j / 2];
}

template <int D>
__device__ void hide(const Shape& s, int64_t first_query, int64_t first_key, Sums<kTile>& p) {
#pragma unroll
  for (int n = 0; n < kTile / 8; ++n)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int64_t query = first_query + first_row() + lane() / 4 + j / 2 * 8,
                    key = first_key + 8 * n + 2 * (lane() % 4) + j % 2;
      if (!visible(s, query, key)) p[n][j] = -INFINITY;
    }
}

template <int D>
__device__ void load_rows_of_warp(Fragment (&a)[D / 16], const bf16* tile) {
#pragma unroll
  for (int k = 0; k < D / 16; ++k) load_a<D>(a[k], tile, first_row(), 16 * k);
}

// A block: 64 queries of one head.
template <int D>
__global__ void __launch_bounds__(kTileThreads) forward(Shape s, Operands<D> o) {
  extern __shared__ bf16 tiles[];
  bf16* query_tile = tiles;
  const auto key_tile = [&](int64_t t) { return tiles + (1 + 2 * (t % 2)) * kTileNumbers<D>; };
  const int64_t b = blockIdx.z, h = blockIdx.y, g = h / (s.heads / s.groups);
  // The longest first: they see the most keys.
  const int64_t first_query = int64_t{gridDim.x - 1 - blockIdx.x} * kTile;
  const Range range = key_tiles(s, first_query);
  const bf16 *k = o.k + o.key_at(s, b, g), *v = o.v + o.key_at(s, b, g);
  const auto load_keys = [&](int64_t t) {
    load_tile<D>(key_tile(t), k, o.key_stride(s), t * kTile, s.keys);
    load_tile<D>(key_tile(t) + kTileNumbers<D>, v, o.key_stride(s), t * kTile, s.keys);
    commit_loads();
  };
  load_tile<D>(query_tile, o.q + o.query_at(s, b, h), o.query_stride(s), first_query, s.queries);
  load_keys(range.begin);
  wait_for_loads();
  __syncthreads();
  Fragment q[D / 16];
  load_rows_of_warp<D>(q, query_tile);
  Sums<D> out;
  clear<D>(out);
  float most[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
  for (int64_t t = range.begin; t < range.end; ++t) {
    wait_for_loads();
    __syncthreads();
    if (t + 1 < range.end) load_keys(t + 1);
    Sums<kTile> p;
    product_with_rows<D>(q, key_tile(t), p);
    if (!all_visible(s, first_query, t * kTile)) hide<D>(s, first_query, t * kTile, p);
    softmax_step<D>(s, p, most, sum, out);
    add_product<D>(p, key_tile(t) + kTileNumbers<D>, out);
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) sum[r] = sum_of_four(sum[r]);
  store_rows<D>(out, 1.0f / sum[0], 1.0f / sum[1], first_query + first_row(), s.queries,
                o.query_stride(s), o.out + o.query_at(s, b, h));
  if (!o.lse || lane() % 4 != 0) return;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int64_t query = first_query + first_row() + lane() / 4 + 8 * r;
    if (query < s.queries)
      o.lse[(b * s.heads + h) * s.queries + query] = most[r] * s.binary + log2f(sum[r]);
  }
}

// dq: a block has 64 queries of one head and goes over the keys that they see.
template <int D>
__global__ void __launch_bounds__(kTileThreads) backward_queries(Shape s, Operands<D> o) {
  extern __shared__ bf16 tiles[];
  const auto key_tile = [&](int64_t t) { return tiles + (2 + 2 * (t % 2)) * kTileNumbers<D>; };
  const int64_t b = blockIdx.z, h = blockIdx.y, g = h / (s.heads / s.groups);
  const int64_t first_query = int64_t{gridDim.x - 1 - blockIdx.x} * kTile;
  const Range range = key_tiles(s, first_query);
  const bf16 *k = o.k + o.key_at(s, b, g), *v = o.v + o.key_at(s, b, g);
  const auto load_keys = [&](int64_t t) {
    load_tile<D>(key_tile(t), k, o.key_stride(s), t * kTile, s.keys);
    load_tile<D>(key_tile(t) + kTileNumbers<D>, v, o.key_stride(s), t * kTile, s.keys);
    commit_loads();
  };
  const int64_t at = o.query_at(s, b, h);
  load_tile<D>(tiles, o.q + at, o.query_stride(s), first_query, s.queries);
  load_tile<D>(tiles + kTileNumbers<D>, o.dout + at, o.query_stride(s), first_query, s.queries);
  load_keys(range.begin);
  wait_for_loads();
  __syncthreads();
  Fragment q[D / 16], dout[D / 16];
  load_rows_of_warp<D>(q, tiles);
  load_rows_of_warp<D>(dout, tiles + kTileNumbers<D>);
  float lse[2], delta[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int64_t query = first_query + first_row() + lane() / 4 + 8 * r,
                  row = (b * s.heads + h) * s.queries + query;
    lse[r] = query < s.queries ? o.lse_in[row] : INFINITY;
    delta[r] = query < s.queries ? o.delta[row] : 0.0f;
  }
  Sums<D> dq;
  clear<D>(dq);
  for (int64_t t = range.begin; t < range.end; ++t) {
    wait_for_loads();
    __syncthreads();
    if (t + 1 < range.end) load_keys(t + 1);
    Sums<kTile> p, dp;
    product_with_rows<D>(q, key_tile(t), p);
    if (!all_visible(s, first_query, t * kTile)) hide<D>(s, first_query, t * kTile, p);
    product_with_rows<D>(dout, key_tile(t) + kTileNumbers<D>, dp);
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        p[n][j] = exp2f(p[n][j] * s.binary - lse[j / 2]) * (dp[n][j] - delta[j / 2]);
    add_product<D>(p, key_tile(t), dq);
  }
  store_rows<D>(dq, s.scale, s.scale, first_query + first_row(), s.queries, o.query_stride(s),
                o.dq + at);
}

// dk, dv: a block has 64 keys of one group and goes over the queries of its heads that see them.
template <int D>
__global__ void __launch_bounds__(kTileThreads) backward_keys(Shape s, Operands<D> o) {
  extern __shared__ bf16 tiles[];
  __shared__ float lse[2][kTile], delta[2][kTile];
  const auto query_tile = [&](int64_t i) { return tiles + (2 + 2 * (i % 2)) * kTileNumbers<D>; };
  const int64_t b = blockIdx.z, g = blockIdx.y, each = s.heads / s.groups;
  const int64_t first_key = int64_t{blockIdx.x} * kTile, at = o.key_at(s, b, g);
  const Range range = query_tiles(s, first_key);
  const int64_t tiles_a_head = max(int64_t{0}, range.end - range.begin),
                steps = tiles_a_head * each;
  const auto first_query = [&](int64_t i) { return (range.begin + i % tiles_a_head) * kTile; };
  const auto load_queries = [&](int64_t i) {
    const int64_t h = g * each + i / tiles_a_head, from = o.query_at(s, b, h);
    load_tile<D>(query_tile(i), o.q + from, o.query_stride(s), first_query(i), s.queries);
    load_tile<D>(query_tile(i) + kTileNumbers<D>, o.dout + from, o.query_stride(s), first_query(i),
                 s.queries);
    commit_loads();
    if (threadIdx.x >= kTile) return;
    const int64_t query = first_query(i) + threadIdx.x, row = (b * s.heads + h) * s.queries + query;
    lse[i % 2][threadIdx.x] = query < s.queries ? o.lse_in[row] : INFINITY;
    delta[i % 2][threadIdx.x] = query < s.queries ? o.delta[row] : 0.0f;
  };
  load_tile<D>(tiles, o.k + at, o.key_stride(s), first_key, s.keys);
  load_tile<D>(tiles + kTileNumbers<D>, o.v + at, o.key_stride(s), first_key, s.keys);
  if (steps > 0) load_queries(0);
  wait_for_loads();
  __syncthreads();
  Fragment k[D / 16], v[D / 16];
  load_rows_of_warp<D>(k, tiles);
  load_rows_of_warp<D>(v, tiles + kTileNumbers<D>);
  Sums<D> dk, dv;
  clear<D>(dk);
  clear<D>(dv);
  for (int64_t i = 0; i < steps; ++i) {
    wait_for_loads();
    __syncthreads();
    if (i + 1 < steps) load_queries(i + 1);
    const bf16 *q = query_tile(i), *dout = q + kTileNumbers<D>;
    const bool all = all_visible(s, first_query(i), first_key);
    Sums<kTile> p, dp;
    product_with_rows<D>(k, q, p);
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int column = 8 * n + 2 * (lane() % 4) + j % 2;
        const bool seen = all || visible(s, first_query(i) + column,
                                         first_key + first_row() + lane() / 4 + j / 2 * 8);
        p[n][j] = seen ? exp2f(p[n][j] * s.binary - lse[i % 2][column]) : 0.0f;
      }
    add_product<D>(p, dout, dv);
    product_with_rows<D>(v, dout, dp);
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        p[n][j] *= dp[n][j] - delta[i % 2][8 * n + 2 * (lane() % 4) + j % 2];
    add_product<D>(p, q, dk);
  }
  store_rows<D>(dk, s.scale, s.scale, first_key + first_row(), s.keys, o.key_stride(s), o.dk + at);
  store_rows<D>(dv, 1.0f, 1.0f, first_key + first_row(), s.keys, o.key_stride(s), o.dv + at);
}

Shape shape_of(const AttentionShape& s) {
  return {s.batch,           s.query_length, s.key_length,          s.heads,
          s.key_value_heads, s.window,       score_scale<float>(s), binary_scale<float>(s)};
}

template <class Kernel, class O>
void launch(Kernel kernel, int tiles, size_t tile_bytes, dim3 grid, const Shape& s, const O& o) {
  const size_t shared = static_cast<size_t>(tiles) * tile_bytes;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared)),
        "attention");
  kernel<<<grid, kTileThreads, shared, stream()>>>(s, o);
  check_launch("attention");
}

template <class Body>
void with_head_dim(int64_t head_dim, const Body& body) {
  if (head_dim == 64) return body.template operator()<64>();
  return body.template operator()<128>();
}

dim3 grid_of(int64_t rows, int64_t heads, int64_t batch) {
  return {blocks_for(rows, kTile), static_cast<unsigned>(heads), static_cast<unsigned>(batch)};
}

}  // namespace

bool fits_tensor_cores(const AttentionShape& s, DType dtype) {
  return dtype == DType::bf16 && (s.head_dim == 64 || s.head_dim == 128) && s.key_capacity == 0 &&
         s.batch <= 65535;
}

void tensor_core_attention(const AttentionShape& s, const Tensor& q, const Tensor& k,
                           const Tensor& v, Tensor& out, Tensor& lse) {
  with_head_dim(s.head_dim, [&]<int D>() {
    const Operands<D> o{.q = numbers<bf16>(q),
                        .k = numbers<bf16>(k),
                        .v = numbers<bf16>(v),
                        .out = numbers<bf16>(out),
                        .lse = lse.numel() ? numbers<float>(lse) : nullptr};
    launch(forward<D>, 5, kTileNumbers<D> * sizeof(bf16), grid_of(s.query_length, s.heads, s.batch),
           shape_of(s), o);
  });
}

void tensor_core_attention_backward(const AttentionShape& s, const Tensor& q, const Tensor& k,
                                    const Tensor& v, const Tensor& lse, const Tensor& delta,
                                    const Tensor& dout, Tensor& dq, Tensor& dk, Tensor& dv) {
  with_head_dim(s.head_dim, [&]<int D>() {
    const Operands<D> o{.q = numbers<bf16>(q),
                        .k = numbers<bf16>(k),
                        .v = numbers<bf16>(v),
                        .dout = numbers<bf16>(dout),
                        .lse_in = numbers<float>(lse),
                        .delta = numbers<float>(delta),
                        .dq = numbers<bf16>(dq),
                        .dk = numbers<bf16>(dk),
                        .dv = numbers<bf16>(dv)};
    constexpr size_t kBytes = kTileNumbers<D> * sizeof(bf16);
    launch(backward_queries<D>, 6, kBytes, grid_of(s.query_length, s.heads, s.batch), shape_of(s),
           o);
    launch(backward_keys<D>, 6, kBytes, grid_of(s.key_length, s.key_value_heads, s.batch),
           shape_of(s), o);
  });
}

}  // namespace halftone::cuda
