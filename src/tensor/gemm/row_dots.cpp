// Dot products of rows, four of B at a time so that A is loaded once for them.
#include "row_dots.h"

#include <algorithm>
#include <cstring>

#include "halftone/base/rounding.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "transpose.h"

namespace halftone {
namespace {

typedef uint32_t EightWords __attribute__((vector_size(32)));
typedef int32_t EightInts __attribute__((vector_size(32)));
typedef int16_t EightShorts __attribute__((vector_size(16)));
typedef uint16_t EightHalves __attribute__((vector_size(16)));
typedef int8_t EightBytes __attribute__((vector_size(8)));
typedef uint32_t SixteenWords __attribute__((vector_size(64)));
typedef int32_t SixteenInts __attribute__((vector_size(64)));
typedef int16_t SixteenShorts __attribute__((vector_size(32)));
typedef uint16_t SixteenHalves __attribute__((vector_size(32)));
typedef int8_t SixteenBytes __attribute__((vector_size(16)));

template <class Vector>
struct Of;
template <>
struct Of<Eight> {
  using Words = EightWords;
  using Ints = EightInts;
  using Shorts = EightShorts;
  using Halves = EightHalves;
  using Bytes = EightBytes;
};
template <>
struct Of<Sixteen> {
  using Words = SixteenWords;
  using Ints = SixteenInts;
  using Shorts = SixteenShorts;
  using Halves = SixteenHalves;
  using Bytes = SixteenBytes;
};

template <class Vector>
constexpr int64_t kLanes = sizeof(Vector) / sizeof(float);

template <class Vector>
HT_INLINE inline void load(const float* x, Vector& out) {
  std::memcpy(&out, x, sizeof(out));
}

// As to_float(half_t) does it.
template <class Vector>
HT_INLINE inline void load(const half_t* x, Vector& out) {
  using Words = typename Of<Vector>::Words;
  typename Of<Vector>::Halves halves;
  std::memcpy(&halves, x, sizeof(halves));
  const Words bits = __builtin_convertvector(halves, Words), magnitude = bits & 0x7fffu;
  const Vector scaled = (Vector)(magnitude << 13) * 0x1.0p112f;
  const Words beyond = (Words)(magnitude >= 0x7c00u) & 0x7f800000u;
  out = (Vector)((Words)scaled | beyond | (bits & 0x8000u) << 16);
}

template <class Vector>
HT_INLINE inline void load(const int8_t* x, Vector& out) {
  typename Of<Vector>::Bytes bytes;
  std::memcpy(&bytes, x, sizeof(bytes));
  // Twice as wide at each step: GCC 12 takes longer strides one by one.
  const auto shorts = __builtin_convertvector(bytes, typename Of<Vector>::Shorts);
  const auto ints = __builtin_convertvector(shorts, typename Of<Vector>::Ints);
  out = __builtin_convertvector(ints, Vector);
}

// Elements [d, d + n) of a row of B times those of A, added to a vector of sums; n is a vector's
// length or 32, which kStep tells.
template <class Vector, class Number>
struct Rows {
  static constexpr int64_t kStep = kLanes<Vector>;
  const Number* data;
  int64_t stride;
  template <int M>
  HT_INLINE void add(int64_t row, int64_t d, const Vector (&x)[M][1], Vector* sums) const {
    Vector b;
    load(data + row * stride + d, b);
#pragma GCC unroll 4
    for (int t = 0; t < M; ++t) sums[t] += x[t][0] * b;
  }
  float one(int64_t row, int64_t d) const {
    if constexpr (sizeof(Number) == 2)
      return to_float(data[row * stride + d]);
    else
      return data[row * stride + d];
  }
  HT_INLINE const void* address(int64_t row, int64_t d) const {
    return data + row * stride + d;
  }
};

template <class Vector>
struct Rows<Vector, q8_0_t> {
  static constexpr int64_t kStep = q8_0_t::kNumbers, kParts = kStep / kLanes<Vector>;
  const q8_0_t* data;
  int64_t stride;
  template <int M>
  HT_INLINE void add(int64_t row, int64_t d, const Vector (&x)[M][kParts], Vector* sums) const {
    const q8_0_t& block = data[(row * stride + d) / q8_0_t::kNumbers];
    Vector b[kParts];
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) load(block.q + i * kLanes<Vector>, b[i]);
    const float scale = to_float(block.scale);
#pragma GCC unroll 4
    for (int t = 0; t < M; ++t) {
      Vector part = x[t][0] * b[0];
#pragma GCC unroll 4
      for (int i = 1; i < kParts; ++i) part += x[t][i] * b[i];
      sums[t] += scale * part;
    }
  }
  float one(int64_t, int64_t) const {
    return 0;
  }  // rows are whole blocks
  HT_INLINE const void* address(int64_t row, int64_t d) const {
    return data + (row * stride + d) / q8_0_t::kNumbers;
  }
};

HT_INLINE inline float sum_of(const Eight& v) {
  const Four four =
      __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
  const Four two = four + __builtin_shufflevector(four, four, 2, 3, 0, 1);
  return two[0] + two[1];
}

HT_INLINE inline float sum_of(const Sixteen& v) {
  const Eight halves = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                       __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  return sum_of(halves);
}

// The columns [begin, end) of M rows of C, which are rows of B.
template <class Vector, int M, class B>
HT_INLINE inline void dots(const B& b, int64_t k, const float* a, int64_t lda, int64_t begin,
                           int64_t end, float beta, float* c, int64_t ldc) {
  constexpr int64_t kRows = 4, kStep = B::kStep, kParts = kStep / kLanes<Vector>;
  for (int64_t first = begin; first < end; first += kRows) {
    Vector sums[kRows][M] = {};
    int64_t row[kRows];
#pragma GCC unroll 4
    for (int64_t r = 0; r < kRows; ++r) row[r] = std::min(first + r, end - 1);
    int64_t d = 0;
    for (; d + kStep <= k; d += kStep) {
      Vector x[M][kParts];
#pragma GCC unroll 4
      for (int t = 0; t < M; ++t)
#pragma GCC unroll 4
        for (int i = 0; i < kParts; ++i) load(a + t * lda + d + i * kLanes<Vector>, x[t][i]);
#pragma GCC unroll 4
      for (int64_t r = 0; r < kRows; ++r) {
        __builtin_prefetch(b.address(row[r] + 2 * kRows, d), 0, 3);
        b.add(row[r], d, x, sums[r]);
      }
    }
    for (int64_t r = 0; r < std::min(kRows, end - first); ++r)
      for (int t = 0; t < M; ++t) {
        float sum = sum_of(sums[r][t]);
        for (int64_t i = d; i < k; ++i) sum += a[t * lda + i] * b.one(row[r], i);
        float& out = c[t * ldc + first + r];
        out = (beta == 0.0f ? 0.0f : out) + sum;
      }
  }
}

template <class Vector, class B>
void multiply(int64_t m, int64_t n, int64_t k, const B& b, const float* a, int64_t lda, float beta,
              float* c, int64_t ldc, const auto& with_isa) {
  parallel_for(n, std::max<int64_t>(round_up(divide_up(n, 4 * threads()), 4), 64),
               [&](int64_t begin, int64_t end) {
                 with_isa([&]() HT_INLINE {
                   int64_t t = 0;
                   for (; t + 2 <= m; t += 2)
                     dots<Vector, 2>(b, k, a + t * lda, lda, begin, end, beta, c + t * ldc, ldc);
                   if (t < m)
                     dots<Vector, 1>(b, k, a + t * lda, lda, begin, end, beta, c + t * ldc, ldc);
                 });
               });
}

template <class Vector>
void multiply(int64_t m, int64_t n, int64_t k, const Factor& a, const Factor& b, float beta,
              float* c, int64_t ldc, const auto& with_isa) {
  const auto* x = static_cast<const float*>(a.data);
  const auto with = [&]<class Number>(const Number* data) {
    multiply<Vector>(m, n, k, Rows<Vector, Number>{data, b.stride}, x, a.stride, beta, c, ldc,
                     with_isa);
  };
  switch (b.kind) {
    case Factor::Kind::f32:
      return with(static_cast<const float*>(b.data));
    case Factor::Kind::f16:
      return with(static_cast<const half_t*>(b.data));
    case Factor::Kind::q8_0:
      return with(static_cast<const q8_0_t*>(b.data));
  }
}

}  // namespace

void row_dots_gemm(int64_t m, int64_t n, int64_t k, const Factor& a, const Factor& b, float beta,
                   float* c, int64_t ldc) {
  if (isa() == Isa::avx512)
    multiply<Sixteen>(m, n, k, a, b, beta, c, ldc, [](const auto& body) { simd_avx512(body); });
  else
    multiply<Eight>(m, n, k, a, b, beta, c, ldc, [](const auto& body) { simd_avx2(body); });
}

}  // namespace halftone
