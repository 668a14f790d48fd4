// Attention in tiles on the matrix units (Dao, 2023, arXiv 2307.08691, in idea): scores live in
// registers. Backward recomputes them twice, once by queries for dq and once by keys for dk and dv,
// so that every sum belongs to one block and has one order.
#include "tensor_cores.cuh"

#include "scores.cuh"
#include "warpgroups.cuh"

namespace halftone::cuda {
namespace {

// A block: 64 R queries of one head.
template <int D, int R>
__global__ void __launch_bounds__(kTileThreads) forward(AttentionSizes s, Operands<D> o) {
  extern __shared__ bf16 tiles[];
  constexpr int kQueries = kBlockRows<R>;
  const auto key_tile = [&](int t) { return tiles + 2 * (t % 2) * kTileNumbers<D>; };
  bf16* query_tile = tiles + 4 * kTileNumbers<D>;
  const int b = blockIdx.z, h = blockIdx.y, g = h / (s.heads / s.groups);
  // The longest first: they see the most keys.
  const int first_query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kQueries;
  const Range range = key_tiles<kQueries>(s, first_query);
  const bf16 *k = o.k + o.key_at(s, b, g), *v = o.v + o.key_at(s, b, g);
  const auto load_keys = [&](int t) {
    load_tile<D>(key_tile(t), k, o.key_stride, t * kTile, s.keys);
    load_tile<D>(key_tile(t) + kTileNumbers<D>, v, o.key_stride, t * kTile, s.keys);
    commit_loads();
  };
  load_tile<D, kQueries>(query_tile, o.q + o.query_at(s, b, h), o.query_stride, first_query,
                         s.queries);
  load_keys(range.begin);
  wait_for_loads();
  __syncthreads();
  const KeptRows<D, R> q(query_tile, first_row<R>());
  Sums<R, D> out;
  clear<R, D>(out);
  float most[R][2], sum[R][2];
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int i = 0; i < 2; ++i) most[r][i] = -INFINITY, sum[r][i] = 0;
  const int row = first_query + first_row<R>();
  for (int t = range.begin; t < range.end; ++t) {
    wait_for_loads();
    __syncthreads();
    if (t + 1 < range.end) load_keys(t + 1);
    Sums<R, kTile> p;
    product_with_rows<D, R, kTile>(q, key_tile(t), 0, p);
    if (!all_visible<kQueries, kTile>(s, first_query, t * kTile))
      hide_keys<R, kTile>(s, row, t * kTile, p);
    softmax_step<R, D>(s, p, most, sum, out);
    add_product<D, R, kTile>(p, key_tile(t) + kTileNumbers<D>, 0, out);
  }
  store_mixed<R, D>(s, o, b, h, row, most, sum, out);
}

// dq: a block has 64 R queries of one head and goes over the keys that they see, N at a time.
template <int D, int R, int N>
__global__ void __launch_bounds__(kTileThreads) backward_queries(AttentionSizes s, Operands<D> o) {
  extern __shared__ bf16 tiles[];
  constexpr int kQueries = kBlockRows<R>;
  const auto key_tile = [&](int t) { return tiles + 2 * (t % 2) * kTileNumbers<D>; };
  bf16* query_tile = tiles + 4 * kTileNumbers<D>;
  bf16* dout_tile = query_tile + kTileNumbers<D, kQueries>;
  const int b = blockIdx.z, h = blockIdx.y, g = h / (s.heads / s.groups);
  const int first_query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kQueries;
  const Range range = key_tiles<kQueries>(s, first_query);
  const bf16 *k = o.k + o.key_at(s, b, g), *v = o.v + o.key_at(s, b, g);
  const auto load_keys = [&](int t) {
    load_tile<D>(key_tile(t), k, o.key_stride, t * kTile, s.keys);
    load_tile<D>(key_tile(t) + kTileNumbers<D>, v, o.key_stride, t * kTile, s.keys);
    commit_loads();
  };
  const int64_t at = o.query_at(s, b, h);
  const int row = first_query + first_row<R>();
  load_tile<D, kQueries>(query_tile, o.q + at, o.query_stride, first_query, s.queries);
  load_tile<D, kQueries>(dout_tile, o.dout + o.out_at(s, b, h), o.out_stride, first_query,
                         s.queries);
  load_keys(range.begin);
  wait_for_loads();
  __syncthreads();
  const KeptRows<D, R> q(query_tile, first_row<R>()), dout(dout_tile, first_row<R>());
  float lse[R][2], delta[R][2], factors[R][2];
  read_statistics<R, D>(s, o, b, h, row, lse, delta);
#pragma unroll
  for (int r = 0; r < R; ++r) factors[r][0] = factors[r][1] = s.scale;
  Sums<R, D> dq;
  clear<R, D>(dq);
  for (int t = range.begin; t < range.end; ++t) {
    wait_for_loads();
    __syncthreads();
    if (t + 1 < range.end) load_keys(t + 1);
    const bool all = all_visible<kQueries, kTile>(s, first_query, t * kTile);
#pragma unroll
    for (int first = 0; first < kTile; first += N) {
      Sums<R, N> p, dp;
      product_with_rows<D, R, N>(q, key_tile(t), first, p);
      if (!all) hide_keys<R, N>(s, row, t * kTile + first, p);
      product_with_rows<D, R, N>(dout, key_tile(t) + kTileNumbers<D>, first, dp);
      for_each_sum<R, N>([&](int r, int n, int j) {
        p[r][n][j] =
            power_of_two(p[r][n][j] * s.binary - lse[r][j / 2]) * (dp[r][n][j] - delta[r][j / 2]);
      });
      add_product<D, R, N>(p, key_tile(t), first, dq);
    }
  }
  store_rows<R, D>(dq, factors, row, s.queries, o.query_stride, o.dq + at);
}

// dk, dv: a block has 64 keys of one group and goes over the queries of its heads that see them,
// N at a time. Its keys stay in shared memory: registers hold two sums beside the scores.
template <int D, int N>
__global__ void __launch_bounds__(kTileThreads) backward_keys(AttentionSizes s, Operands<D> o) {
  extern __shared__ bf16 tiles[];
  __shared__ float lse[2][kTile], delta[2][kTile];
  constexpr int R = 1, kKeys = kBlockRows<R>;
  const auto query_tile = [&](int i) { return tiles + 2 * (i % 2) * kTileNumbers<D>; };
  bf16* k_tile = tiles + 4 * kTileNumbers<D>;
  bf16* v_tile = k_tile + kTileNumbers<D, kKeys>;
  const int b = blockIdx.z, g = blockIdx.y, each = s.heads / s.groups,
            first_key = static_cast<int>(blockIdx.x) * kKeys;
  const int64_t at = o.key_at(s, b, g);
  const Range range = query_tiles<kKeys>(s, first_key);
  const int tiles_a_head = max(0, range.end - range.begin), steps = tiles_a_head * each;
  const auto first_query = [&](int i) { return (range.begin + i % tiles_a_head) * kTile; };
  const auto load_queries = [&](int i) {
    const int h = g * each + i / tiles_a_head;
    load_tile<D>(query_tile(i), o.q + o.query_at(s, b, h), o.query_stride, first_query(i),
                 s.queries);
    load_tile<D>(query_tile(i) + kTileNumbers<D>, o.dout + o.out_at(s, b, h), o.out_stride,
                 first_query(i), s.queries);
    commit_loads();
    if (threadIdx.x >= kTile) return;
    const int query = first_query(i) + static_cast<int>(threadIdx.x);
    const int64_t number = o.number_of(s, b, h, query);
    lse[i % 2][threadIdx.x] = query < s.queries ? o.lse_in[number] : INFINITY;
    delta[i % 2][threadIdx.x] = query < s.queries ? o.delta[number] : 0.0f;
  };
  load_tile<D, kKeys>(k_tile, o.k + at, o.key_stride, first_key, s.keys);
  load_tile<D, kKeys>(v_tile, o.v + at, o.key_stride, first_key, s.keys);
  if (steps > 0) load_queries(0);
  wait_for_loads();
  __syncthreads();
  const ReadRows<D, R> k(k_tile, first_row<R>()), v(v_tile, first_row<R>());
  const int row = first_key + first_row<R>();
  Sums<R, D> dk, dv;
  clear<R, D>(dk);
  clear<R, D>(dv);
  for (int i = 0; i < steps; ++i) {
    wait_for_loads();
    __syncthreads();
    if (i + 1 < steps) load_queries(i + 1);
    const bf16 *q = query_tile(i), *dout = q + kTileNumbers<D>;
    const bool all = all_visible<kTile, kKeys>(s, first_query(i), first_key);
#pragma unroll
    for (int first = 0; first < kTile; first += N) {
      Sums<R, N> p, dp;
      product_with_rows<D, R, N>(k, q, first, p);
      if (!all) hide_queries<R, N>(s, first_query(i) + first, row, p);
      for_each_sum<R, N>([&](int r, int n, int j) {
        p[r][n][j] = power_of_two(p[r][n][j] * s.binary - lse[i % 2][first + column_of(n, j)]);
      });
      add_product<D, R, N>(p, dout, first, dv);
      product_with_rows<D, R, N>(v, dout, first, dp);
      for_each_sum<R, N>([&](int r, int n, int j) {
        p[r][n][j] *= dp[r][n][j] - delta[i % 2][first + column_of(n, j)];
      });
      add_product<D, R, N>(p, q, first, dk);
    }
  }
  const float scales[R][2] = {{s.scale, s.scale}}, ones[R][2] = {{1, 1}};
  store_rows<R, D>(dk, scales, row, s.keys, o.key_stride, o.dk + at);
  store_rows<R, D>(dv, ones, row, s.keys, o.key_stride, o.dv + at);
}

template <class Kernel, class O>
void launch(Kernel kernel, size_t shared, dim3 grid, const AttentionSizes& s, const O& o) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared)),
        "attention");
  kernel<<<grid, kTileThreads, shared, stream()>>>(s, o);
  check_launch("attention");
}

// Two pairs of tiles, and `kept` times a block's rows beside them.
template <int D, int R>
constexpr size_t shared_bytes(int kept) {
  return (4 * kTileNumbers<D> + kept * kTileNumbers<D, kBlockRows<R>>)*sizeof(bf16);
}

// Times 16 rows of queries that a warp keeps, as its registers allow.
template <int D>
constexpr int kQueryRows = D == 64 ? 2 : 1;

template <int R>
dim3 grid_of(int64_t rows, int64_t heads, int64_t batch) {
  return {blocks_for(rows, kBlockRows<R>), static_cast<unsigned>(heads),
          static_cast<unsigned>(batch)};
}

}  // namespace

bool fits_tensor_cores(const AttentionShape& s, DType dtype) {
  return dtype == DType::bf16 && (s.head_dim == 64 || s.head_dim == 128) && s.key_capacity == 0 &&
         s.batch <= 65535;
}

void tensor_core_attention(const AttentionShape& s, const Tensor& q, const Tensor& k,
                           const Tensor& v, Tensor& out, Tensor& lse) {
  if (have_warpgroups()) return warpgroup_attention(s, q, k, v, out, lse);
  with_head_dim(s.head_dim, [&]<int D>() {
    constexpr int R = kQueryRows<D>;
    launch(forward<D, R>, shared_bytes<D, R>(1), grid_of<R>(s.query_length, s.heads, s.batch),
           sizes_of(s), forward_operands<D>(s, q, k, v, out, lse));
  });
}

void tensor_core_attention_backward(const AttentionShape& s, const Tensor& q, const Tensor& k,
                                    const Tensor& v, const Tensor& lse, const Tensor& delta,
                                    const Tensor& dout, Tensor& dq, Tensor& dk, Tensor& dv) {
  if (have_warpgroups())
    return warpgroup_attention_backward(s, q, k, v, lse, delta, dout, dq, dk, dv);
  with_head_dim(s.head_dim, [&]<int D>() {
    const Operands<D> o = backward_operands<D>(s, q, k, v, lse, delta, dout, dq, dk, dv);
    constexpr int R = kQueryRows<D>;
    launch(backward_queries<D, R, 16>, shared_bytes<D, R>(2),
           grid_of<R>(s.query_length, s.heads, s.batch), sizes_of(s), o);
    launch(backward_keys<D, 32>, shared_bytes<D, 1>(2),
           grid_of<1>(s.key_length, s.key_value_heads, s.batch), sizes_of(s), o);
  });
}

}  // namespace halftone::cuda
