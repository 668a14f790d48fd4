// Attention on the GPU. Here for any head and dtype, a warp a query or a key; the matrix units take
// what fits them (tensor_cores.cu), and tiles in F32 the forward pass of many queries
// (float_tiles.cu).
#include "float_tiles.cuh"
#include "heads.cuh"
#include "tensor/cuda/rows.cuh"
#include "tensor_cores.cuh"

namespace halftone::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kMostParts = kMostHeadDim / kWarp;  // numbers of a head that a lane holds

__device__ int lane() {
  return static_cast<int>(threadIdx.x) % kWarp;
}
__device__ int64_t item() {  // this warp's query or key, of all heads
  return int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
}

template <class A, class B>
__device__ float dot(int64_t n, const A* a, const B* b) {
  float sum = 0;
  for (int64_t d = 0; d < n; ++d) sum += wide(a[d]) * wide(b[d]);
  return sum;
}

// sum (a lane holds the numbers lane, lane + 32, ...) += weight x
template <class T>
__device__ void add_row(int64_t n, float weight, const T* x, float (&sum)[kMostParts]) {
#pragma unroll
  for (int p = 0; p < kMostParts; ++p) {
    const int64_t d = lane() + p * kWarp;
    if (d < n) sum[p] += weight * wide(x[d]);
  }
}
template <class T>
__device__ void store_row(int64_t n, float weight, const float (&sum)[kMostParts], T* to) {
#pragma unroll
  for (int p = 0; p < kMostParts; ++p) {
    const int64_t d = lane() + p * kWarp;
    if (d < n) to[d] = narrow<T>(weight * sum[p]);
  }
}

// A warp a query: 32 keys at a time, a lane each for the scores, then lanes side by side for
// values.
template <class T, class K>
__global__ void forward(Heads s, const T* q, const K* k, const K* v, T* out, float* lse) {
  const int64_t at = item();
  if (at >= s.batch * s.heads * s.queries) return;
  const int64_t i = at % s.queries, h = at / s.queries % s.heads, b = at / s.queries / s.heads,
                g = h / (s.heads / s.groups);
  const T* query = q + s.query_row(b, i, h);
  float most = -INFINITY, total = 0, sum[kMostParts] = {};
  for (int64_t first = s.first_key(i); first <= s.last_key(i); first += kWarp) {
    const int64_t key = first + lane();
    const float score = key <= s.last_key(i)
                            ? s.binary * dot(s.head_dim, query, k + s.key_row(b, key, g))
                            : -INFINITY;
    const float largest = fmaxf(most, warp_max(score)), keep = exp2f(most - largest);
    const float p = exp2f(score - largest);
    total = total * keep + warp_sum(p);
    most = largest;
#pragma unroll
    for (float& x : sum) x *= keep;
    for (int j = 0; j < kWarp && first + j <= s.last_key(i); ++j)
      add_row(s.head_dim, __shfl_sync(0xffffffffu, p, j), v + s.key_row(b, first + j, g), sum);
  }
  store_row(s.head_dim, 1.0f / total, sum, out + s.out_row(b, i, h));
  if (lse && lane() == 0) lse[at] = most + log2f(total);
}

// One query a sequence, from a cache: a block a sequence and group, whose keys and values it reads
// once for its E heads. Eight lanes have a key, the block 16 at a time: scores into shared memory,
// their softmax, then the weighted sums of values, added up in a fixed order.
constexpr int64_t kDecodeDim = 64;
constexpr int kDecodeThreads = 128, kSideBySide = kDecodeThreads / 8;

template <int E, class T, class K>
__global__ void __launch_bounds__(kDecodeThreads)
    decode(Heads s, const T* q, const K* k, const K* v, T* out) {
  extern __shared__ float scores[];  // E x n, then parts (warps x E x 64)
  __shared__ float inverse[E];
  const int64_t b = blockIdx.x / s.groups, g = blockIdx.x % s.groups;
  const int64_t first = s.first_key(0), n = s.keys - first;
  float* parts = scores + E * n;
  const int part = static_cast<int>(threadIdx.x) % 8, which = static_cast<int>(threadIdx.x) / 8,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  float query[E][8], x[8];
#pragma unroll
  for (int e = 0; e < E; ++e) {
    read<8>(q + s.query_row(b, 0, g * E + e) + part * 8, query[e]);
#pragma unroll
    for (float& number : query[e]) number *= s.binary;
  }
  for (int64_t base = 0; base < n; base += kSideBySide) {
    const int64_t j = base + which;
    if (j < n) read<8>(k + s.key_row(b, first + j, g) + part * 8, x);
#pragma unroll
    for (int e = 0; e < E; ++e) {
      float sum = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) sum += j < n ? query[e][i] * x[i] : 0.0f;
#pragma unroll
      for (int step = 4; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
      if (part == e && j < n) scores[e * n + j] = sum;
    }
  }
  __syncthreads();
  for (int e = warp; e < E; e += kDecodeThreads / kWarp) {
    float most = -INFINITY, sum = 0;
    for (int64_t j = lane(); j < n; j += kWarp) most = fmaxf(most, scores[e * n + j]);
    most = warp_max(most);
    for (int64_t j = lane(); j < n; j += kWarp) {
      const float p = exp2f(scores[e * n + j] - most);
      scores[e * n + j] = p;
      sum += p;
    }
    sum = warp_sum(sum);
    if (lane() == 0) inverse[e] = 1.0f / sum;
  }
  __syncthreads();
  float mixed[E][8] = {};
  for (int64_t j = which; j < n; j += kSideBySide) {
    read<8>(v + s.key_row(b, first + j, g) + part * 8, x);
#pragma unroll
    for (int e = 0; e < E; ++e)
#pragma unroll
      for (int i = 0; i < 8; ++i) mixed[e][i] += scores[e * n + j] * x[i];
  }
#pragma unroll
  for (int e = 0; e < E; ++e)
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float sum = mixed[e][i];
      sum += __shfl_xor_sync(0xffffffffu, sum, 8);
      sum += __shfl_xor_sync(0xffffffffu, sum, 16);
      if (lane() < 8) parts[(warp * E + e) * kDecodeDim + part * 8 + i] = sum;
    }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < E * kDecodeDim; i += kDecodeThreads) {
    const int64_t e = i / kDecodeDim, d = i % kDecodeDim;
    float sum = 0;
    for (int w = 0; w < kDecodeThreads / kWarp; ++w) sum += parts[w * E * kDecodeDim + i];
    out[s.out_row(b, 0, g * E + e) + d] = narrow<T>(sum * inverse[e]);
  }
}

// Runs body.template operator()<E>() for so many heads a group; false where there is none.
template <class Body>
bool with_heads_a_group(int64_t each, const Body& body) {
  if (each == 1) return body.template operator()<1>(), true;
  if (each == 2) return body.template operator()<2>(), true;
  if (each == 3) return body.template operator()<3>(), true;
  if (each == 4) return body.template operator()<4>(), true;
  return false;
}

size_t decode_bytes(const AttentionShape& s) {
  const int64_t each = s.heads / s.key_value_heads;
  return static_cast<size_t>(each * s.key_length + kDecodeThreads / kWarp * each * kDecodeDim) *
         sizeof(float);
}

bool fits_decoding(const AttentionShape& s, const Tensor& lse) {
  constexpr size_t kShared = 48 << 10;
  return s.query_length == 1 && s.head_dim == kDecodeDim && lse.numel() == 0 &&
         decode_bytes(s) <= kShared;
}

// delta = rowsum(dout o out), L lanes a query and head, W numbers each at a time.
template <int L, int W, class T>
__global__ void row_products(Heads s, const T* out, const T* dout, float* delta) {
  const int64_t at = (int64_t{blockIdx.x} * kWarps * kWarp + threadIdx.x) / L;
  const int part = static_cast<int>(threadIdx.x) % L;
  const int64_t h = at % s.heads, i = at / s.heads % s.queries, b = at / s.heads / s.queries;
  float sum = 0, x[W], y[W];
  if (b < s.batch)
    for (int64_t d = part * W; d < s.head_dim; d += L * W) {
      read<W>(out + at * s.head_dim + d, x);
      read<W>(dout + at * s.head_dim + d, y);
#pragma unroll
      for (int j = 0; j < W; ++j) sum += x[j] * y[j];
    }
#pragma unroll
  for (int step = L / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  if (part == 0 && b < s.batch) delta[(b * s.heads + h) * s.queries + i] = sum;
}

template <class T>
void launch_row_products(const Heads& s, const T* out, const T* dout, float* delta) {
  constexpr int kThreads = kWarps * kWarp;
  const int64_t rows = s.batch * s.heads * s.queries;
  if (whole_packs(s.head_dim, {out, dout}))
    return row_products<8, 8>
        <<<blocks_for(rows * 8, kThreads), kThreads, 0, stream()>>>(s, out, dout, delta);
  row_products<kWarp, 1>
      <<<blocks_for(rows * kWarp, kThreads), kThreads, 0, stream()>>>(s, out, dout, delta);
}

template <class T>
__global__ void backward_queries(Heads s, const T* q, const T* k, const T* v, const float* lse,
                                 const float* delta, const T* dout, T* dq) {
  const int64_t at = item();
  if (at >= s.batch * s.heads * s.queries) return;
  const int64_t i = at % s.queries, h = at / s.queries % s.heads, b = at / s.queries / s.heads,
                g = h / (s.heads / s.groups), row = s.query_row(b, i, h),
                out_row = s.out_row(b, i, h);
  float sum[kMostParts] = {};
  for (int64_t first = s.first_key(i); first <= s.last_key(i); first += kWarp) {
    const int64_t key = first + lane();
    float ds = 0;
    if (key <= s.last_key(i)) {
      const int64_t of_key = s.key_row(b, key, g);
      const float p = exp2f(s.binary * dot(s.head_dim, q + row, k + of_key) - lse[at]);
      ds = p * (dot(s.head_dim, dout + out_row, v + of_key) - delta[at]);
    }
    for (int j = 0; j < kWarp && first + j <= s.last_key(i); ++j)
      add_row(s.head_dim, __shfl_sync(0xffffffffu, ds, j), k + s.key_row(b, first + j, g), sum);
  }
  store_row(s.head_dim, s.scale, sum, dq + row);
}

// A warp a key: over the heads of its group, 32 queries at a time.
template <class T>
__global__ void backward_keys(Heads s, const T* q, const T* k, const T* v, const float* lse,
                              const float* delta, const T* dout, T* dk, T* dv) {
  const int64_t at = item();
  if (at >= s.batch * s.groups * s.keys) return;
  const int64_t key = at % s.keys, g = at / s.keys % s.groups, b = at / s.keys / s.groups,
                of_key = s.key_row(b, key, g), each = s.heads / s.groups;
  const int64_t begin = max(int64_t{0}, key - (s.keys - s.queries));
  const int64_t end = s.window ? min(s.queries, begin + s.window) : s.queries;
  float sum_k[kMostParts] = {}, sum_v[kMostParts] = {};
  for (int64_t h = g * each; h < (g + 1) * each; ++h)
    for (int64_t first = begin; first < end; first += kWarp) {
      const int64_t i = first + lane();
      float p = 0, ds = 0;
      if (i < end && key >= s.first_key(i) && key <= s.last_key(i)) {
        const int64_t row = s.query_row(b, i, h), number = (b * s.heads + h) * s.queries + i;
        p = exp2f(s.binary * dot(s.head_dim, q + row, k + of_key) - lse[number]);
        ds = p * (dot(s.head_dim, dout + s.out_row(b, i, h), v + of_key) - delta[number]);
      }
      for (int j = 0; j < kWarp && first + j < end; ++j) {
        add_row(s.head_dim, __shfl_sync(0xffffffffu, p, j), dout + s.out_row(b, first + j, h),
                sum_v);
        add_row(s.head_dim, __shfl_sync(0xffffffffu, ds, j), q + s.query_row(b, first + j, h),
                sum_k);
      }
    }
  store_row(s.head_dim, s.scale, sum_k, dk + of_key);
  store_row(s.head_dim, 1.0f, sum_v, dv + of_key);
}

}  // namespace

void attention_forward(const AttentionShape& s, const Tensor& q, const Tensor& k, const Tensor& v,
                       Tensor& out, Tensor& lse) {
  if (q.numel() == 0) return;
  if (fits_tensor_cores(s, q.dtype())) return tensor_core_attention(s, q, k, v, out, lse);
  const unsigned blocks = blocks_for(s.batch * s.heads * s.query_length, kWarps);
  float* stored = lse.numel() ? numbers<float>(lse) : nullptr;
  with_number(q.dtype(), "attention", [&]<class T>() {
    const auto run = [&]<class K>(const K* keys, const K* values) {
      const auto decoded = [&]<int E>() {
        decode<E>
            <<<static_cast<unsigned>(s.batch * s.key_value_heads), kDecodeThreads, decode_bytes(s),
               stream()>>>(heads_of(s), numbers<T>(q), keys, values, numbers<T>(out));
      };
      if (fits_decoding(s, lse) && with_heads_a_group(s.heads / s.key_value_heads, decoded)) return;
      if (fits_float_tiles(s))
        return float_tile_attention(heads_of(s), numbers<T>(q), keys, values, numbers<T>(out),
                                    stored);
      forward<<<blocks, kWarps * kWarp, 0, stream()>>>(heads_of(s), numbers<T>(q), keys, values,
                                                       numbers<T>(out), stored);
    };
    if (k.dtype() == DType::f16) return run(numbers<__half>(k), numbers<__half>(v));
    run(numbers<T>(k), numbers<T>(v));
  });
  check_launch("attention");
}

void attention_backward(const AttentionShape& s, const Tensor& q, const Tensor& k, const Tensor& v,
                        const Tensor& out, const Tensor& lse, const Tensor& dout, Tensor& dq,
                        Tensor& dk, Tensor& dv) {
  if (q.numel() == 0) return;
  Tensor delta = lse.like();
  const unsigned queries = blocks_for(s.batch * s.heads * s.query_length, kWarps),
                 keys = blocks_for(s.batch * s.key_value_heads * s.key_length, kWarps);
  constexpr int kThreads = kWarps * kWarp;
  with_number(q.dtype(), "attention", [&]<class T>() {
    const Heads h = heads_of(s);
    launch_row_products(h, numbers<T>(out), numbers<T>(dout), numbers<float>(delta));
    if (fits_tensor_cores(s, q.dtype()))
      return tensor_core_attention_backward(s, q, k, v, lse, delta, dout, dq, dk, dv);
    backward_queries<<<queries, kThreads, 0, stream()>>>(
        h, numbers<T>(q), numbers<T>(k), numbers<T>(v), numbers<float>(lse), numbers<float>(delta),
        numbers<T>(dout), numbers<T>(dq));
    backward_keys<<<keys, kThreads, 0, stream()>>>(
        h, numbers<T>(q), numbers<T>(k), numbers<T>(v), numbers<float>(lse), numbers<float>(delta),
        numbers<T>(dout), numbers<T>(dk), numbers<T>(dv));
  });
  check_launch("attention");
}

}  // namespace halftone::cuda
