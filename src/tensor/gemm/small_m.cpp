#include "small_m.h"

#include <algorithm>
#include <cstring>

#include "factor_rows.h"
#include "halftone/base/rounding.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/memory.h"
#include "transpose.h"

namespace halftone {
namespace {

constexpr int64_t kDepth = 512;  // of B's rows widened at a time
constexpr int64_t kBlock = 96;   // rows of B that a thread takes
constexpr int64_t kLine = 16;    // floats of a cache line

struct Product {
  int64_t m, n, k;
  Factor a, b;
  float beta;
  float* c;
  int64_t ldc;
};

// The kernels for A's rows in blocks of V vectors, B's rows R at a time.
template <int R, int V, class Vector>
struct Kernels {
  static constexpr int64_t kRows = R, kLanes = sizeof(Vector) / sizeof(float), kTokens = V * kLanes;

  // out[block][d][row in the block]; rows beyond the last are zero.
  HT_INLINE static void turn(const Product& p, float* out) {
    alignas(64) float widened[4][kDepth];
    for (int64_t row = 0; row < p.m; row += kTokens)
      for (int64_t r = 0; r < kTokens; r += 4)
        for (int64_t d = 0; d < p.k; d += kDepth) {
          const int64_t n = std::min(kDepth, p.k - d);
          const float* rows[4];
          for (int64_t i = 0; i < 4; ++i) {
            if (row + r + i < p.m) {
              rows[i] = read_part(p.a, row + r + i, d, n, widened[i]);
            } else {
              std::fill_n(widened[i], n, 0.0f);
              rows[i] = widened[i];
            }
          }
          transpose_rows<Four>(n, rows, kTokens, out + row * p.k + d * kTokens + r);
        }
  }

  // sums (kRows x kTokens) += k elements of kRows rows of B by the transposed block of A. Of each
  // row what lies `ahead` elements on is fetched into the second-level cache meanwhile: new rows
  // every few hundred elements are more than the hardware foresees.
  HT_INLINE static void tile(int64_t k, const float* const* b, int64_t ahead,
                             const float* transposed, float* sums) {
    Vector s[R][V];
    const float* row[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      row[r] = b[r];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v)
        std::memcpy(&s[r][v], sums + r * kTokens + v * kLanes, sizeof(Vector));
    }
    for (int64_t line = 0; line < k; line += kLine) {
      if (ahead > 0) {
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) __builtin_prefetch(row[r] + ahead + line, 0, 2);
      }
      for (int64_t d = line; d < std::min(line + kLine, k); ++d, transposed += kTokens) {
        Vector x[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) std::memcpy(&x[v], transposed + v * kLanes, sizeof(Vector));
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const Vector factor = row[r][d] - Vector{};
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v) s[r][v] += factor * x[v];
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v)
        std::memcpy(sums + r * kTokens + v * kLanes, &s[r][v], sizeof(Vector));
  }

  // The columns [begin, end) of C, which are rows of B.
  HT_INLINE static void multiply(const Product& p, int64_t begin, int64_t end,
                                 const float* transposed) {
    alignas(64) float widened[kRows][kDepth];
    alignas(64) float sums[kSmallM / kTokens + 1][kRows * kTokens];
    float out[kSmallM][kBlock];  // C's own rows may all fall into one set of the cache
    const int64_t next_rows = p.b.kind == Factor::Kind::f32 ? kRows * p.b.stride : 0;
    for (int64_t first = begin; first < end; first += kRows) {
      std::memset(sums, 0, sizeof(sums));
      for (int64_t d = 0; d < p.k; d += kDepth) {
        const int64_t n = std::min(kDepth, p.k - d);
        const float* rows[kRows];
        for (int64_t r = 0; r < kRows; ++r)
          rows[r] = read_part(p.b, std::min(first + r, end - 1), d, n, widened[r]);
        for (int64_t row = 0; row < p.m; row += kTokens)
          tile(n, rows, row == 0 ? next_rows : 0, transposed + row * p.k + d * kTokens,
               sums[row / kTokens]);
      }
      for (int64_t row = 0; row < p.m; ++row)
        for (int64_t r = 0; r < std::min(kRows, end - first); ++r)
          out[row][first - begin + r] = sums[row / kTokens][r * kTokens + row % kTokens];
    }
    for (int64_t row = 0; row < p.m; ++row) {
      float* c = p.c + row * p.ldc;
      for (int64_t j = begin; j < end; ++j)
        c[j] = (p.beta == 0.0f ? 0.0f : c[j]) + out[row][j - begin];
    }
  }

  static void run(const Product& p, const auto& with_isa) {
    const int64_t rows = round_up(p.m, kTokens);
    const auto storage = allocate(static_cast<size_t>(rows * p.k) * sizeof(float));
    float* transposed = static_cast<float*>(storage.get());
    with_isa([&]() HT_INLINE { turn(p, transposed); });
    parallel_for(p.n, kBlock, [&](int64_t begin, int64_t end) {
      with_isa([&]() HT_INLINE { multiply(p, begin, end, transposed); });
    });
  }
};

}  // namespace

void small_m_gemm(int64_t m, int64_t n, int64_t k, const Factor& a, const Factor& b, float beta,
                  float* c, int64_t ldc) {
  const Product product{m, n, k, a, b, beta, c, ldc};
  const auto run = [&]<class Vector>(const auto& with_isa) {
    if (m <= static_cast<int64_t>(sizeof(Vector) / sizeof(float)))
      Kernels<8, 1, Vector>::run(product, with_isa);
    else
      Kernels<6, 2, Vector>::run(product, with_isa);
  };
  if (isa() == Isa::avx512)
    run.template operator()<Sixteen>([](const auto& body) { simd_avx512(body); });
  else
    run.template operator()<Eight>([](const auto& body) { simd_avx2(body); });
}

}  // namespace halftone
