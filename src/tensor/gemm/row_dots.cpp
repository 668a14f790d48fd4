// Dot products of rows, in the order in which B lies.
#include "row_dots.h"

#include <algorithm>
#include <cstring>

#include "halftone/base/rounding.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "transpose.h"

namespace halftone {
namespace {

typedef int32_t EightInts __attribute__((vector_size(32)));
typedef uint16_t EightHalves __attribute__((vector_size(16), aligned(2), may_alias));
typedef int8_t EightBytes __attribute__((vector_size(8), aligned(1), may_alias));
typedef int32_t SixteenInts __attribute__((vector_size(64)));
typedef uint16_t SixteenHalves __attribute__((vector_size(32), aligned(2), may_alias));
typedef int8_t SixteenBytes __attribute__((vector_size(16), aligned(1), may_alias));

template <class Vector>
struct Of;
template <>
struct Of<Eight> {
  using Ints = EightInts;
  using Halves = EightHalves;
  using Bytes = EightBytes;
};
template <>
struct Of<Sixteen> {
  using Ints = SixteenInts;
  using Halves = SixteenHalves;
  using Bytes = SixteenBytes;
};

template <class Vector>
constexpr int64_t kLanes = sizeof(Vector) / sizeof(float);

template <class Vector>
HT_INLINE inline void load(const float* x, Vector& out) {
  std::memcpy(&out, x, sizeof(out));
}

#if defined(__x86_64__) && !defined(__clang__)
// In words of the machine: GCC 12 makes several instructions of each.
template <class Vector>
HT_INLINE inline void load(const half_t* x, Vector& out) {
  using Halves = typename Of<Vector>::Halves;
  asm("vcvtph2ps %1, %0" : "=v"(out) : "m"(*reinterpret_cast<const Halves*>(x)));
}

template <class Vector>
HT_INLINE inline void load(const int8_t* x, Vector& out) {
  typename Of<Vector>::Ints ints;
  using Bytes = typename Of<Vector>::Bytes;
  asm("vpmovsxbd %1, %0" : "=v"(ints) : "m"(*reinterpret_cast<const Bytes*>(x)));
  out = __builtin_convertvector(ints, Vector);
}

template <class Vector>
HT_INLINE inline void load_all(const half_t& x, Vector& out) {
  typename Of<Vector>::Halves halves;
  asm("vpbroadcastw %1, %0" : "=v"(halves) : "m"(x));
  asm("vcvtph2ps %1, %0" : "=v"(out) : "v"(halves));
}
#else
template <class Vector>
HT_INLINE inline void load(const half_t* x, Vector& out) {
  for (int64_t i = 0; i < kLanes<Vector>; ++i) out[i] = to_float(x[i]);
}

template <class Vector>
HT_INLINE inline void load(const int8_t* x, Vector& out) {
  for (int64_t i = 0; i < kLanes<Vector>; ++i) out[i] = x[i];
}

template <class Vector>
HT_INLINE inline void load_all(const half_t& x, Vector& out) {
  out = to_float(x) - Vector{};
}
#endif

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
};

template <class Vector>
struct Rows<Vector, q8_0_t> {
  static constexpr int64_t kStep = q8_0_t::kNumbers, kParts = kStep / kLanes<Vector>,
                           kAhead = 4096;  // bytes
  const q8_0_t* data;
  int64_t stride;
  template <int M>
  HT_INLINE void add(int64_t row, int64_t d, const Vector (&x)[M][kParts], Vector* sums) const {
    const q8_0_t& block = data[row * (stride / q8_0_t::kNumbers) + d / q8_0_t::kNumbers];
    // What the CPU fetches by itself ends with each page.
    __builtin_prefetch(reinterpret_cast<const char*>(&block) + kAhead);
    Vector b[kParts];
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) load(block.q + i * kLanes<Vector>, b[i]);
    Vector scale;
    load_all(block.scale, scale);
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

// The columns [begin, end) of M rows of C, which are rows of B, one after another: memory is read
// fastest in one stream.
template <class Vector, int M, class B>
HT_INLINE inline void dots(const B& b, int64_t k, const float* a, int64_t lda, int64_t begin,
                           int64_t end, float beta, float* c, int64_t ldc) {
  constexpr int64_t kStep = B::kStep, kParts = kStep / kLanes<Vector>;
  for (int64_t row = begin; row < end; ++row) {
    Vector sums[M] = {};
    int64_t d = 0;
    for (; d + kStep <= k; d += kStep) {
      Vector x[M][kParts];
#pragma GCC unroll 4
      for (int t = 0; t < M; ++t)
#pragma GCC unroll 4
        for (int i = 0; i < kParts; ++i) load(a + t * lda + d + i * kLanes<Vector>, x[t][i]);
      b.add(row, d, x, sums);
    }
    for (int t = 0; t < M; ++t) {
      float sum = sum_of(sums[t]);
      for (int64_t i = d; i < k; ++i) sum += a[t * lda + i] * b.one(row, i);
      float& out = c[t * ldc + row];
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
