// A block has 128 queries of one head and goes over the keys that they see, 64 at a time. Each of
// its 16 x 16 threads has 8 queries; of those the scores of 4 keys, then the sums of D / 16 numbers
// of the values. Numbers are widened on their way into shared memory.
#include "float_tiles.cuh"

namespace halftone::cuda {
namespace {

constexpr int kSide = 16, kThreads = kSide * kSide;
constexpr int kEach = 8, kQueries = kSide * kEach;  // queries of a thread, of a block
constexpr int kKeysEach = 4, kKeys = kSide * kKeysEach;
constexpr int kQueryPitch = kQueries + 4, kKeyPitch = kKeys + 4;  // of rows of four-number words

template <int D>
struct Tiles {
  float q[D][kQueryPitch], k[D][kKeyPitch], v[kKeys][D], p[kKeys][kQueryPitch];
};

// Rows [first, first + N) of a head, a column each; what lies outside is zero.
template <int D, int N, int Pitch, class T, class RowAt>
__device__ void load_columns(float (&to)[D][Pitch], const T* from, int64_t head_dim, int64_t first,
                             int64_t rows, const RowAt& row_at) {
  for (int i = static_cast<int>(threadIdx.x); i < N * D / 4; i += kThreads) {
    const int row = i % N, d = i / N * 4;
#pragma unroll
    for (int j = 0; j < 4; ++j)
      to[d + j][row] =
          first + row < rows && d + j < head_dim ? wide(from[row_at(first + row) + d + j]) : 0.0f;
  }
}

// x[i] of four numbers next to each other, in one word of shared memory.
template <int N>
__device__ void read4(const float* from, float (&x)[N]) {
#pragma unroll
  for (int i = 0; i < N; i += 4) {
    const float4 word = *reinterpret_cast<const float4*>(from + i);
    x[i] = word.x, x[i + 1] = word.y, x[i + 2] = word.z, x[i + 3] = word.w;
  }
}

// c[i][j] += a[i] b[j] over the rows of two tiles.
template <int Rows, int M, int N, class A, class B>
__device__ void add_products(const A& a, const B& b, float (&c)[M][N]) {
#pragma unroll 4
  for (int r = 0; r < Rows; ++r) {
    float x[M], y[N];
    read4(a(r), x);
    read4(b(r), y);
#pragma unroll
    for (int i = 0; i < M; ++i)
#pragma unroll
      for (int j = 0; j < N; ++j) c[i][j] += x[i] * y[j];
  }
}

// Over the 16 threads that have the same queries.
__device__ float max_of_side(float x) {
#pragma unroll
  for (int step = kSide / 2; step > 0; step /= 2)
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}
__device__ float sum_of_side(float x) {
#pragma unroll
  for (int step = kSide / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

template <int D, class T, class K>
__global__ void __launch_bounds__(kThreads)
    forward(Heads s, const T* q, const K* k, const K* v, T* out, float* lse) {
  extern __shared__ __align__(16) char shared[];
  Tiles<D>& tiles = *reinterpret_cast<Tiles<D>*>(shared);
  constexpr int kDims = D / kSide;  // numbers of the output that a thread has of each query
  const int64_t b = blockIdx.z, h = blockIdx.y, g = h / (s.heads / s.groups);
  const int64_t first_query = int64_t{gridDim.x - 1 - blockIdx.x} * kQueries;
  const int64_t last_query = min(first_query + kQueries, s.queries) - 1;
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  const auto key_row = [&](int64_t j) { return s.key_row(b, j, g); };
  load_columns<D, kQueries>(tiles.q, q, s.head_dim, first_query, s.queries,
                            [&](int64_t i) { return s.query_row(b, i, h); });
  float most[kEach], sum[kEach], mixed[kEach][kDims] = {};
#pragma unroll
  for (int i = 0; i < kEach; ++i) most[i] = -INFINITY, sum[i] = 0;
  const int64_t begin = s.first_key(first_query) / kKeys * kKeys;
  for (int64_t first = begin; first <= s.last_key(last_query); first += kKeys) {
    __syncthreads();
    load_columns<D, kKeys>(tiles.k, k, s.head_dim, first, s.keys, key_row);
    for (int i = static_cast<int>(threadIdx.x); i < kKeys * D; i += kThreads) {
      const int row = i / D, d = i % D;
      tiles.v[row][d] =
          first + row < s.keys && d < s.head_dim ? wide(v[key_row(first + row) + d]) : 0.0f;
    }
    __syncthreads();
    float p[kEach][kKeysEach] = {};
    add_products<D>([&](int d) { return &tiles.q[d][ty * kEach]; },
                    [&](int d) { return &tiles.k[d][tx * kKeysEach]; }, p);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int64_t query = first_query + ty * kEach + i;
      float largest = most[i];
#pragma unroll
      for (int j = 0; j < kKeysEach; ++j) {
        const int64_t key = first + tx * kKeysEach + j;
        p[i][j] =
            key <= s.last_key(query) && key >= s.first_key(query) ? s.binary * p[i][j] : -INFINITY;
        largest = fmaxf(largest, p[i][j]);
      }
      largest = max_of_side(largest);
      const float base = largest == -INFINITY ? 0.0f : largest, keep = exp2f(most[i] - base);
      most[i] = largest;
      sum[i] *= keep;
#pragma unroll
      for (int j = 0; j < kKeysEach; ++j) {
        p[i][j] = exp2f(p[i][j] - base);
        sum[i] += p[i][j];
        tiles.p[tx * kKeysEach + j][ty * kEach + i] = p[i][j];
      }
#pragma unroll
      for (int d = 0; d < kDims; ++d) mixed[i][d] *= keep;
    }
    __syncthreads();
    add_products<kKeys>([&](int j) { return &tiles.p[j][ty * kEach]; },
                        [&](int j) { return &tiles.v[j][tx * kDims]; }, mixed);
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int64_t query = first_query + ty * kEach + i;
    const float total = sum_of_side(sum[i]);
    if (query >= s.queries) continue;
#pragma unroll
    for (int d = 0; d < kDims; ++d)
      if (tx * kDims + d < s.head_dim)
        out[s.out_row(b, query, h) + tx * kDims + d] = narrow<T>(mixed[i][d] / total);
    if (lse && tx == 0) lse[(b * s.heads + h) * s.queries + query] = most[i] + log2f(total);
  }
}

template <int D, class T, class K>
void launch(const Heads& s, const T* q, const K* k, const K* v, T* out, float* lse) {
  constexpr int kShared = sizeof(Tiles<D>);
  check(
      cudaFuncSetAttribute(forward<D, T, K>, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared),
      "attention");
  const dim3 grid(blocks_for(s.queries, kQueries), static_cast<unsigned>(s.heads),
                  static_cast<unsigned>(s.batch));
  forward<D><<<grid, kThreads, kShared, stream()>>>(s, q, k, v, out, lse);
}

}  // namespace

// Of shared memory GPUs have 99 to 227 KB a block.
bool fits_float_tiles(const AttentionShape& s) {
  static const auto most = static_cast<size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
  const size_t needed = s.head_dim <= 64 ? sizeof(Tiles<64>) : sizeof(Tiles<128>);
  return s.query_length >= kEach && s.head_dim <= 128 && s.batch <= 65535 && needed <= most;
}

template <class T, class K>
void float_tile_attention(const Heads& s, const T* q, const K* k, const K* v, T* out, float* lse) {
  if (s.head_dim <= 64) return launch<64>(s, q, k, v, out, lse);
  launch<128>(s, q, k, v, out, lse);
}

template void float_tile_attention(const Heads&, const float*, const float*, const float*, float*,
                                   float*);
template void float_tile_attention(const Heads&, const float*, const __half*, const __half*, float*,
                                   float*);
template void float_tile_attention(const Heads&, const bf16*, const bf16*, const bf16*, bf16*,
                                   float*);
template void float_tile_attention(const Heads&, const bf16*, const __half*, const __half*, bf16*,
                                   float*);

}  // namespace halftone::cuda
