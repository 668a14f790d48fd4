// The kernels of tensor_cores.cu for warpgroups. A block is one: it keeps 64 queries, or keys, and
// several blocks side by side fill a multiprocessor, one's products beside another's exponentials.
#include "warpgroups.cuh"

#include "scores.cuh"
#include "warpgroup_units.cuh"

namespace halftone::cuda {
namespace {

// Tiles of keys and values, or of queries and dout: two places each, used in turns.
template <int D>
constexpr int kPieceNumbers = kTile* D;  // of a tile

#ifdef HT_WARPGROUPS

template <int D>
__device__ bf16* tile_in_turn(bf16* tiles, int i, int which) {
  return tiles + (2 * (i % 2) + which) * kPieceNumbers<D>;
}
// A tile that stays.
template <int D>
__device__ bf16* kept_tile(bf16* tiles, int which) {
  return tiles + (4 + which) * kPieceNumbers<D>;
}

// The keys and values of a group.
template <int D>
struct KeyTiles {
  bf16* tiles;
  PiecedRows<D> k, v;

  __device__ KeyTiles(bf16* to, const AttentionSizes& s, const Operands<D>& o, int b, int g)
      : tiles(to),
        k{o.k + o.key_at(s, b, g), o.key_stride, s.keys},
        v{o.v + o.key_at(s, b, g), o.key_stride, s.keys} {}
  __device__ bf16* k_at(int t) const { return tile_in_turn<D>(tiles, t, 0); }
  __device__ bf16* v_at(int t) const { return tile_in_turn<D>(tiles, t, 1); }
  __device__ void load(int t) const {
    k.load(k_at(t), t * kTile);
    v.load(v_at(t), t * kTile);
    commit_loads();
  }
};

// out, lse: a block has 64 queries of one head.
template <int D>
__device__ void forward_block(const AttentionSizes& s, const Operands<D>& o, bf16* tiles) {
  const int b = blockIdx.z, h = blockIdx.y;
  // The longest first: they see the most keys.
  const int first_query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kTile,
            row = first_query + first_row<1>();
  const Range range = key_tiles<kTile>(s, first_query);
  bf16* q = kept_tile<D>(tiles, 0);
  PiecedRows<D>{o.q + o.query_at(s, b, h), o.query_stride, s.queries}.load(q, first_query);
  const KeyTiles<D> keys(tiles, s, o, b, h / (s.heads / s.groups));
  keys.load(range.begin);
  Sums<1, D> out;
  clear<1, D>(out);
  float most[1][2] = {{-INFINITY, -INFINITY}}, sum[1][2] = {};
  for (int t = range.begin; t < range.end; ++t) {
    pieces_are_there();
    __syncthreads();
    if (t + 1 < range.end) keys.load(t + 1);
    Sums<1, kTile> p;
    begin_products();
    start_product<D>(q, keys.k_at(t), p);
    end_products();
    wait_for_products<0>();
    settle<kTile>(p);
    if (!all_visible<kTile, kTile>(s, first_query, t * kTile))
      hide_keys<1, kTile>(s, row, t * kTile, p);
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
  const int b = blockIdx.z, h = blockIdx.y;
  const int first_query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kTile,
            row = first_query + first_row<1>();
  const Range range = key_tiles<kTile>(s, first_query);
  const int64_t at = o.query_at(s, b, h);
  bf16 *q = kept_tile<D>(tiles, 0), *dout = kept_tile<D>(tiles, 1);
  PiecedRows<D>{o.q + at, o.query_stride, s.queries}.load(q, first_query);
  PiecedRows<D>{o.dout + o.out_at(s, b, h), o.out_stride, s.queries}.load(dout, first_query);
  const KeyTiles<D> keys(tiles, s, o, b, h / (s.heads / s.groups));
  keys.load(range.begin);
  float lse[1][2], delta[1][2];
  const float factors[1][2] = {{s.scale, s.scale}};
  read_statistics<1, D>(s, o, b, h, row, lse, delta);
  Sums<1, D> dq;
  clear<1, D>(dq);
  for (int t = range.begin; t < range.end; ++t) {
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
    if (!all_visible<kTile, kTile>(s, first_query, t * kTile))
      hide_keys<1, kTile>(s, row, t * kTile, p);
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

// The queries and dout of one head after the other, and their lse and delta.
template <int D>
struct QueryTiles {
  bf16* tiles;
  const AttentionSizes& s;
  const Operands<D>& o;
  float (&lse)[2][kTile], (&delta)[2][kTile];

  __device__ bf16* q_at(int i) const { return tile_in_turn<D>(tiles, i, 0); }
  __device__ bf16* dout_at(int i) const { return tile_in_turn<D>(tiles, i, 1); }
  // Tile t of head h as the i-th.
  __device__ void load(int i, int b, int h, int t) const {
    PiecedRows<D>{o.q + o.query_at(s, b, h), o.query_stride, s.queries}.load(q_at(i), t * kTile);
    PiecedRows<D>{o.dout + o.out_at(s, b, h), o.out_stride, s.queries}.load(dout_at(i), t * kTile);
    const int thread = static_cast<int>(threadIdx.x), query = t * kTile + thread % kTile;
    const bool first = thread < kTile, inside = query < s.queries;
    load_number(&(first ? lse : delta)[i % 2][thread % kTile],
                (first ? o.lse_in : o.delta) + o.number_of(s, b, h, inside ? query : 0), inside);
    commit_loads();
  }
};

// dk, dv: a block has 64 keys of one group and goes over the queries of its heads that see them.
template <int D>
__device__ void backward_keys_block(const AttentionSizes& s, const Operands<D>& o, bf16* tiles) {
  __shared__ float lse[2][kTile], delta[2][kTile];
  const int b = blockIdx.z, g = blockIdx.y, each = s.heads / s.groups,
            first_key = static_cast<int>(blockIdx.x) * kTile, row = first_key + first_row<1>();
  const Range range = query_tiles<kTile>(s, first_key);
  const int64_t at = o.key_at(s, b, g);
  bf16 *k = kept_tile<D>(tiles, 0), *v = kept_tile<D>(tiles, 1);
  PiecedRows<D>{o.k + at, o.key_stride, s.keys}.load(k, first_key);
  PiecedRows<D>{o.v + at, o.key_stride, s.keys}.load(v, first_key);
  const QueryTiles<D> queries{tiles, s, o, lse, delta};
  const int first_head = g * each, end_head = range.begin < range.end ? first_head + each : 0;
  if (end_head > 0) queries.load(0, b, first_head, range.begin);
  Sums<1, D> dk, dv;
  clear<1, D>(dk);
  clear<1, D>(dv);
  int i = 0;
  for (int h = first_head; h < end_head; ++h)
    for (int t = range.begin; t < range.end; ++t, ++i) {
      pieces_are_there();
      __syncthreads();
      if (t + 1 < range.end)
        queries.load(i + 1, b, h, t + 1);
      else if (h + 1 < end_head)
        queries.load(i + 1, b, h + 1, range.begin);
      Sums<1, kTile> p, dp;
      begin_products();
      start_product<D>(k, queries.q_at(i), p);
      end_products();
      start_product<D>(v, queries.dout_at(i), dp);
      end_products();
      wait_for_products<1>();
      settle<kTile>(p);
      if (!all_visible<kTile, kTile>(s, t * kTile, first_key))
        hide_queries<1, kTile>(s, t * kTile, row, p);
      for_each_sum<1, kTile>([&](int r, int n, int j) {
        p[r][n][j] = power_of_two(p[r][n][j] * s.binary - lse[i % 2][column_of(n, j)]);
      });
      HeldRows held, held_too;
      hold(p, held);
      wait_for_products<0>();
      settle<kTile>(dp);
      begin_products();
      start_adding<D>(held, queries.dout_at(i), dv);
      end_products();
      for_each_sum<1, kTile>([&](int r, int n, int j) {
        dp[r][n][j] = p[r][n][j] * (dp[r][n][j] - delta[i % 2][column_of(n, j)]);
      });
      hold(dp, held_too);
      begin_products();
      start_adding<D>(held_too, queries.q_at(i), dk);
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
__global__ void __launch_bounds__(kGroupThreads, D == 64 ? 5 : 2)
    forward(AttentionSizes s, Operands<D> o) {
  extern __shared__ __align__(1024) bf16 tiles[];
  HT_BLOCK(forward_block(s, o, tiles));
}
template <int D>
__global__ void __launch_bounds__(kGroupThreads, D == 64 ? 4 : 2)
    backward_queries(AttentionSizes s, Operands<D> o) {
  extern __shared__ __align__(1024) bf16 tiles[];
  HT_BLOCK(backward_queries_block(s, o, tiles));
}
template <int D>
__global__ void __launch_bounds__(kGroupThreads, D == 64 ? 2 : 1)
    backward_keys(AttentionSizes s, Operands<D> o) {
  extern __shared__ __align__(1024) bf16 tiles[];
  HT_BLOCK(backward_keys_block(s, o, tiles));
}

#undef HT_BLOCK

// A block for each 64 rows of each head; kept: tiles that stay, beside two pairs.
template <int D>
void launch(void (*kernel)(AttentionSizes, Operands<D>), int kept, int64_t rows, int64_t heads,
            const AttentionShape& s, const Operands<D>& o) {
  const size_t shared = static_cast<size_t>((4 + kept) * kPieceNumbers<D>) * sizeof(bf16);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared)),
        "attention");
  const dim3 grid(blocks_for(rows, kTile), static_cast<unsigned>(heads),
                  static_cast<unsigned>(s.batch));
  kernel<<<grid, kGroupThreads, shared, stream()>>>(sizes_of(s), o);
  check_launch("attention");
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
    launch<D>(forward<D>, 1, s.query_length, s.heads, s, forward_operands<D>(s, q, k, v, out, lse));
  });
}

void warpgroup_attention_backward(const AttentionShape& s, const Tensor& q, const Tensor& k,
                                  const Tensor& v, const Tensor& lse, const Tensor& delta,
                                  const Tensor& dout, Tensor& dq, Tensor& dk, Tensor& dv) {
  with_head_dim(s.head_dim, [&]<int D>() {
    const Operands<D> o = backward_operands<D>(s, q, k, v, lse, delta, dout, dq, dk, dv);
    launch<D>(backward_queries<D>, 2, s.query_length, s.heads, s, o);
    launch<D>(backward_keys<D>, 2, s.key_length, s.key_value_heads, s, o);
  });
}

}  // namespace halftone::cuda
