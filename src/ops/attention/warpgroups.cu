// The kernels of tensor_cores.cu for warpgroups: a warpgroup has 64 queries, or keys.
#include "warpgroups.cuh"

#include "scores.cuh"
#include "warpgroup_units.cuh"

namespace halftone::cuda {
namespace {

constexpr int kForwardGroups = 2;
template <int D>
constexpr int kPieceNumbers = kTile* D;  // of a tile

#ifdef HT_WARPGROUPS

// Tiles of keys and values in turns, in two places each, by all threads of a block.
template <int D, int Threads>
struct KeyTiles {
  bf16* tiles;
  const bf16 *k, *v;
  int64_t stride, keys;

  __device__ bf16* k_at(int64_t t) const { return tiles + 2 * (t % 2) * kPieceNumbers<D>; }
  __device__ bf16* v_at(int64_t t) const { return k_at(t) + kPieceNumbers<D>; }
  __device__ void load(int64_t t) const {
    const int thread = static_cast<int>(threadIdx.x);
    load_pieces<D, Threads>(k_at(t), thread, k, stride, t * kTile, keys);
    load_pieces<D, Threads>(v_at(t), thread, v, stride, t * kTile, keys);
    commit_loads();
  }
};

// A block: a tile of queries of one head for each of its warpgroups.
template <int D, int Groups>
__device__ void forward_block(const AttentionSizes& s, const Operands<D>& o, bf16* tiles) {
  constexpr int kThreads = Groups * kGroupThreads, kQueries = Groups * kTile;
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads;
  const int64_t b = blockIdx.z, h = blockIdx.y, g = h / (s.heads / s.groups);
  // The longest first: they see the most keys.
  const int64_t first_query = int64_t{gridDim.x - 1 - blockIdx.x} * kQueries;
  const Range range = key_tiles<kQueries>(s, first_query);
  const int64_t first_of_group = first_query + group * kTile, row = first_query + first_row<1>();
  const Range seen = first_of_group < s.queries ? key_tiles<kTile>(s, first_of_group)
                                                : Range{range.end, range.end};
  bf16* q = tiles + (4 + group) * kPieceNumbers<D>;
  load_pieces<D, kGroupThreads>(q, static_cast<int>(threadIdx.x) % kGroupThreads,
                                o.q + o.query_at(s, b, h), o.query_stride, first_of_group,
                                s.queries);
  const KeyTiles<D, kThreads> keys{tiles, o.k + o.key_at(s, b, g), o.v + o.key_at(s, b, g),
                                   o.key_stride, s.keys};
  keys.load(range.begin);
  Sums<1, D> out;
  clear<1, D>(out);
  float most[1][2] = {{-INFINITY, -INFINITY}}, sum[1][2] = {};
  for (int64_t t = range.begin; t < range.end; ++t) {
    pieces_are_there();
    __syncthreads();
    if (t + 1 < range.end) keys.load(t + 1);
    if (t < seen.begin || t >= seen.end) continue;
    Sums<1, kTile> p;
    begin_products();
    start_product<D>(q, keys.k_at(t), p);
    end_products();
    wait_for_products<0>();
    settle<kTile>(p);
    if (!all_visible<kTile, kTile>(s, first_of_group, t * kTile))
      hide<1, kTile>(s, row, t * kTile, p);
    softmax_step<1, D>(s, p, most, sum, out);
    HeldRows held;
    hold(p, held);
    begin_products();
    start_adding<D>(held, keys.v_at(t), out);
    end_products();
    wait_for_products<0>();
    settle<D>(out);
  }
  store_mixed<1, D>(s, o, b, h, row, most, sum, out);
}

// dq: a block has 64 queries of one head and goes over the keys that they see.
template <int D>
__device__ void backward_queries_block(const AttentionSizes& s, const Operands<D>& o, bf16* tiles) {
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t b = blockIdx.z, h = blockIdx.y, g = h / (s.heads / s.groups);
  const int64_t first_query = int64_t{gridDim.x - 1 - blockIdx.x} * kTile;
  const Range range = key_tiles<kTile>(s, first_query);
  const int64_t at = o.query_at(s, b, h), row = first_query + first_row<1>();
  bf16 *q = tiles + 4 * kPieceNumbers<D>, *dout = q + kPieceNumbers<D>;
  load_pieces<D, kGroupThreads>(q, thread, o.q + at, o.query_stride, first_query, s.queries);
  load_pieces<D, kGroupThreads>(dout, thread, o.dout + o.out_at(s, b, h), o.out_stride, first_query,
                                s.queries);
  const KeyTiles<D, kGroupThreads> keys{tiles, o.k + o.key_at(s, b, g), o.v + o.key_at(s, b, g),
                                        o.key_stride, s.keys};
  keys.load(range.begin);
  float lse[1][2], delta[1][2];
  const float factors[1][2] = {{s.scale, s.scale}};
  read_statistics<1, D>(s, o, b, h, row, lse, delta);
  Sums<1, D> dq;
  clear<1, D>(dq);
  for (int64_t t = range.begin; t < range.end; ++t) {
    pieces_are_there();
    __syncthreads();
    if (t + 1 < range.end) keys.load(t + 1);
    Sums<1, kTile> p, dp;
    begin_products();
    start_product<D>(q, keys.k_at(t), p);
    end_products();
    start_product<D>(dout, keys.v_at(t), dp);
    end_products();
    wait_for_products<1>();
    settle<kTile>(p);
    if (!all_visible<kTile, kTile>(s, first_query, t * kTile)) hide<1, kTile>(s, row, t * kTile, p);
    for_each_sum<1, kTile>([&](int r, int n, int j) {
      p[r][n][j] = power_of_two(p[r][n][j] * s.binary - lse[r][j / 2]);
    });
    wait_for_products<0>();
    settle<kTile>(dp);
    for_each_sum<1, kTile>(
        [&](int r, int n, int j) { p[r][n][j] *= dp[r][n][j] - delta[r][j / 2]; });
    HeldRows held;
    hold(p, held);
    begin_products();
    start_adding<D>(held, keys.k_at(t), dq);
    end_products();
    wait_for_products<0>();
    settle<D>(dq);
  }
  store_rows<1, D>(dq, factors, row, s.queries, o.query_stride, o.dq + at);
}

// dk, dv: a block has 64 keys of one group and goes over the queries of its heads that see them.
template <int D>
__device__ void backward_keys_block(const AttentionSizes& s, const Operands<D>& o, bf16* tiles) {
  __shared__ float lse[2][kTile], delta[2][kTile];
  const int thread = static_cast<int>(threadIdx.x);
  const auto query_tile = [&](int64_t i) { return tiles + 2 * (i % 2) * kPieceNumbers<D>; };
  bf16 *k = tiles + 4 * kPieceNumbers<D>, *v = k + kPieceNumbers<D>;
  const int64_t b = blockIdx.z, g = blockIdx.y, each = s.heads / s.groups;
  const int64_t first_key = int64_t{blockIdx.x} * kTile, at = o.key_at(s, b, g);
  const Range range = query_tiles<kTile>(s, first_key);
  const int64_t tiles_a_head = max(int64_t{0}, range.end - range.begin),
                steps = tiles_a_head * each;
  const auto first_query = [&](int64_t i) { return (range.begin + i % tiles_a_head) * kTile; };
  const auto load_queries = [&](int64_t i) {
    const int64_t h = g * each + i / tiles_a_head, first = first_query(i);
    load_pieces<D, kGroupThreads>(query_tile(i), thread, o.q + o.query_at(s, b, h), o.query_stride,
                                  first, s.queries);
    load_pieces<D, kGroupThreads>(query_tile(i) + kPieceNumbers<D>, thread,
                                  o.dout + o.out_at(s, b, h), o.out_stride, first, s.queries);
    commit_loads();
    if (thread >= kTile) return;
    const int64_t query = first + thread, row = (b * s.heads + h) * s.queries + query;
    lse[i % 2][thread] = query < s.queries ? o.lse_in[row] : INFINITY;
    delta[i % 2][thread] = query < s.queries ? o.delta[row] : 0.0f;
  };
  load_pieces<D, kGroupThreads>(k, thread, o.k + at, o.key_stride, first_key, s.keys);
  load_pieces<D, kGroupThreads>(v, thread, o.v + at, o.key_stride, first_key, s.keys);
  if (steps > 0) load_queries(0);
  const int64_t row = first_key + first_row<1>();
  Sums<1, D> dk, dv;
  clear<1, D>(dk);
  clear<1, D>(dv);
  for (int64_t i = 0; i < steps; ++i) {
    pieces_are_there();
    __syncthreads();
    if (i + 1 < steps) load_queries(i + 1);
    const bf16 *q = query_tile(i), *dout = q + kPieceNumbers<D>;
    const bool all = all_visible<kTile, kTile>(s, first_query(i), first_key);
    Sums<1, kTile> p, dp;
    begin_products();
    start_product<D>(k, q, p);
    end_products();
    start_product<D>(v, dout, dp);
    end_products();
    wait_for_products<1>();
    settle<kTile>(p);
    for_each_sum<1, kTile>([&](int r, int n, int j) {
      const int column = column_of(n, j);
      const bool seen = all || visible(s, first_query(i) + column, row + row_of(r, j / 2));
      p[r][n][j] = seen ? power_of_two(p[r][n][j] * s.binary - lse[i % 2][column]) : 0.0f;
    });
    HeldRows held, held_too;
    hold(p, held);
    wait_for_products<0>();
    settle<kTile>(dp);
    begin_products();
    start_adding<D>(held, dout, dv);
    end_products();
    for_each_sum<1, kTile>([&](int r, int n, int j) {
      dp[r][n][j] = p[r][n][j] * (dp[r][n][j] - delta[i % 2][column_of(n, j)]);
    });
    hold(dp, held_too);
    begin_products();
    start_adding<D>(held_too, q, dk);
    end_products();
    wait_for_products<0>();
    settle<D>(dv);
    settle<D>(dk);
  }
  const float scales[1][2] = {{s.scale, s.scale}}, ones[1][2] = {{1, 1}};
  store_rows<1, D>(dk, scales, row, s.keys, o.key_stride, o.dk + at);
  store_rows<1, D>(dv, ones, row, s.keys, o.key_stride, o.dv + at);
}

#endif

// Where there are no warpgroups, these are never launched.
#ifdef HT_WARPGROUPS
#define HT_BLOCK(call) call
#else
#define HT_BLOCK(call) __trap()
#endif

// Blocks of a multiprocessor: as many as registers and shared memory hold without spilling.
template <int D>
__global__ void __launch_bounds__(kForwardGroups* kGroupThreads, D == 64 ? 2 : 1)
    forward(AttentionSizes s, Operands<D> o) {
  extern __shared__ __align__(1024) bf16 tiles[];
  HT_BLOCK((forward_block<D, kForwardGroups>(s, o, tiles)));
}
template <int D>
__global__ void __launch_bounds__(kGroupThreads, D == 64 ? 3 : 1)
    backward_queries(AttentionSizes s, Operands<D> o) {
  extern __shared__ __align__(1024) bf16 tiles[];
  HT_BLOCK(backward_queries_block(s, o, tiles));
}
template <int D>
__global__ void __launch_bounds__(kGroupThreads, D == 64 ? 3 : 1)
    backward_keys(AttentionSizes s, Operands<D> o) {
  extern __shared__ __align__(1024) bf16 tiles[];
  HT_BLOCK(backward_keys_block(s, o, tiles));
}

#undef HT_BLOCK

template <class Kernel, class O>
void launch(Kernel kernel, int tiles, size_t tile_bytes, int threads, dim3 grid,
            const AttentionSizes& s, const O& o) {
  const size_t shared = static_cast<size_t>(tiles) * tile_bytes;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared)),
        "attention");
  kernel<<<grid, threads, shared, stream()>>>(s, o);
  check_launch("attention");
}

dim3 grid_of(int64_t rows, int64_t each, int64_t heads, int64_t batch) {
  return {blocks_for(rows, each), static_cast<unsigned>(heads), static_cast<unsigned>(batch)};
}

}  // namespace

bool have_warpgroups() {
  static const bool have = attribute(cudaDevAttrComputeCapabilityMajor) == 9 &&
                           attribute(cudaDevAttrComputeCapabilityMinor) == 0;
  return have;
}

void warpgroup_attention(const AttentionShape& s, const Tensor& q, const Tensor& k, const Tensor& v,
                         Tensor& out, Tensor& lse) {
  with_head_dim(s.head_dim, [&]<int D>() {
    launch(forward<D>, 4 + kForwardGroups, kPieceNumbers<D> * sizeof(bf16),
           kForwardGroups * kGroupThreads,
           grid_of(s.query_length, kForwardGroups * kTile, s.heads, s.batch), sizes_of(s),
           forward_operands<D>(s, q, k, v, out, lse));
  });
}

void warpgroup_attention_backward(const AttentionShape& s, const Tensor& q, const Tensor& k,
                                  const Tensor& v, const Tensor& lse, const Tensor& delta,
                                  const Tensor& dout, Tensor& dq, Tensor& dk, Tensor& dv) {
  with_head_dim(s.head_dim, [&]<int D>() {
    const Operands<D> o = backward_operands<D>(s, q, k, v, lse, delta, dout, dq, dk, dv);
    constexpr size_t kBytes = kPieceNumbers<D> * sizeof(bf16);
    launch(backward_queries<D>, 6, kBytes, kGroupThreads,
           grid_of(s.query_length, kTile, s.heads, s.batch), sizes_of(s), o);
    launch(backward_keys<D>, 6, kBytes, kGroupThreads,
           grid_of(s.key_length, kTile, s.key_value_heads, s.batch), sizes_of(s), o);
  });
}

}  // namespace halftone::cuda
