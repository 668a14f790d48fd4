#include "halftone/tensor/sgemm.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/memory.h"
#include "panels.h"
#include "thin_gemm.h"

namespace halftone {
namespace {

// A tile's panel of B (at most kDepth deep) stays in the first-level cache; a block of C (kStrip
// rows x kColumns) with its panels of A and B in the second. kRows and kBlocks of that depth bound
// what is packed.
// kColumns, kStrip and kRows are multiples of every tile's sides, so even parts never exceed them.
constexpr int64_t kColumns = 480, kStrip = 264, kRows = 3 * kStrip, kBlocks = 6;
static_assert(std::max(kColumns, kRows) <= kPackedColumns);

// The length of the equal parts, multiples of `step`, that cut n into pieces of at most `most`.
int64_t even_part(int64_t n, int64_t most, int64_t step) {
  const int64_t parts = (n + most - 1) / most;
  return ((n + parts - 1) / parts + step - 1) / step * step;
}

struct Product {
  Transpose ta, tb;
  int64_t k, depth;  // of a block
  Factor a, b;
  float beta;
  float* c;
  int64_t ldc;
};

// Panels of a chunk in blocks of `depth`, one block after another. Stored rows are read whole, so
// that memory is read in order.
template <int W>
HT_INLINE inline void pack_blocks(const Factor& f, bool across, Range columns, Range chunk,
                                  int64_t depth, float* out) {
  const int64_t width = (columns.size() + W - 1) / W * W;
  const int64_t step = across ? W : columns.size();
  for (int64_t i = columns.begin; i < columns.end; i += step)
    for (int64_t d = chunk.begin; d < chunk.end; d += depth) {
      const Range block{d, std::min(d + depth, chunk.end)};
      float* to = out + width * (d - chunk.begin) + (i - columns.begin) * block.size();
      if (across)
        pack_across<W>(f, {i, std::min(i + W, columns.end)}, block, to);
      else
        pack_along<W>(f, columns, block, to);
    }
}

// A's panels. Its elements are broadcast one by one, so stored rows may stay rows of a panel,
// kDepth apart.
template <int R, bool in_rows>
HT_INLINE inline void pack_bands(const Factor& f, Range band, Range chunk, int64_t depth,
                                 float* out) {
  if constexpr (!in_rows) return pack_blocks<R>(f, false, band, chunk, depth, out);
  const int64_t height = (band.size() + R - 1) / R * R;
  for (int64_t i = 0; i < height; ++i)
    for (int64_t d = chunk.begin; d < chunk.end; d += depth) {
      const int64_t n = std::min(depth, chunk.end - d);
      float* to = out + (height * ((d - chunk.begin) / depth) + i) * kDepth;
      if (i >= band.size()) {
        std::fill_n(to, n, 0.0f);
        continue;
      }
      const float* row = read_part(f, band.begin + i, d, n, to);
      if (row != to) std::copy_n(row, n, to);
    }
}

// The tiles of one block of C; a and b are its packed panels, `depth` deep.
template <int R, int V, class Vector, bool rows>
HT_INLINE inline void multiply_block(const Product& p, Range strip, Range columns, int64_t depth,
                                     const float* a, const float* b, bool add) {
  constexpr int64_t kWidth = V * static_cast<int64_t>(sizeof(Vector) / sizeof(float));
  for (int64_t x = columns.begin; x < columns.end; x += kWidth, b += kWidth * depth) {
    const float* panel = a;
    for (int64_t y = strip.begin; y < strip.end; y += R, panel += R * (rows ? kDepth : depth)) {
      float* c = p.c + y * p.ldc + x;
      if (y + R <= strip.end && x + kWidth <= columns.end) {
        Tile<R, V, Vector, rows>::multiply(depth, panel, b, add, c, p.ldc);
        continue;
      }
      alignas(64) float edge[R * kWidth];
      Tile<R, V, Vector, rows>::multiply(depth, panel, b, false, edge, kWidth);
      for (int64_t r = 0; r < std::min<int64_t>(R, strip.end - y); ++r)
        for (int64_t q = 0; q < std::min(kWidth, columns.end - x); ++q)
          c[r * p.ldc + q] = (add ? c[r * p.ldc + q] : 0.0f) + edge[r * kWidth + q];
    }
  }
}

// One thread's rectangle of C, rows x columns.
template <int R, int V, class Vector, bool in_rows>
HT_INLINE inline void multiply(const Product& p, Range rows, Range columns, float* packed_a,
                               float* packed_b) {
  constexpr int64_t kWidth = V * static_cast<int64_t>(sizeof(Vector) / sizeof(float));
  const int64_t band_rows = even_part(rows.size(), kRows, R),
                block_columns = even_part(columns.size(), kColumns, kWidth);
  const int64_t most = kBlocks * p.depth;
  for (int64_t d = 0; d < p.k; d += most)
    for (int64_t i = rows.begin; i < rows.end; i += band_rows) {
      const Range chunk{d, std::min(d + most, p.k)}, band{i, std::min(i + band_rows, rows.end)};
      const int64_t strip = even_part(band.size(), kStrip, R);
      const int64_t height = (band.size() + R - 1) / R * R;
      pack_bands<R, in_rows>(p.a, band, chunk, p.depth, packed_a);
      for (int64_t j = columns.begin; j < columns.end; j += block_columns) {
        const Range block{j, std::min(j + block_columns, columns.end)};
        const int64_t width = (block.size() + kWidth - 1) / kWidth * kWidth;
        pack_blocks<kWidth>(p.b, p.tb == Transpose::yes, block, chunk, p.depth, packed_b);
        for (int64_t y = band.begin; y < band.end; y += strip)
          for (int64_t z = chunk.begin; z < chunk.end; z += p.depth) {
            const int64_t depth = std::min(p.depth, chunk.end - z), at = z - chunk.begin;
            const float* a =
                packed_a + (in_rows ? (height * (at / p.depth) + y - band.begin) * kDepth
                                    : height * at + (y - band.begin) * depth);
            multiply_block<R, V, Vector, in_rows>(p, {y, std::min(y + strip, band.end)}, block,
                                                  depth, a, packed_b + width * at,
                                                  z > 0 || p.beta != 0.0f);
          }
      }
    }
}

// The rectangles of the threads: `down` by `across` of them, cut at multiples of a tile.
struct Grid {
  int64_t down = 1, across = 1;
};

Grid choose_grid(int64_t m, int64_t n, int64_t r, int64_t w) {
  const int64_t count = threads();
  Grid best;
  double least = 1e300;
  for (int64_t down = 1; down <= count; ++down) {
    const int64_t across = count / down;
    const double rows = static_cast<double>(((m + r - 1) / r + down - 1) / down * r);
    const double columns = static_cast<double>(((n + w - 1) / w + across - 1) / across * w);
    const double cost = rows * columns + 16 * (rows + columns);  // products and packing
    if (cost < least) {
      least = cost;
      best = {down, across};
    }
  }
  return best;
}

Range share(int64_t n, int64_t step, int64_t parts, int64_t part) {
  const int64_t tiles = (n + step - 1) / step;
  return {std::min(n, tiles * part / parts * step), std::min(n, tiles * (part + 1) / parts * step)};
}

}  // namespace

void read_row(const Factor& factor, int64_t row, int64_t n, float* out) {
  simd([&]() HT_INLINE {
    const float* x = read_part(factor, row, 0, n, out);
    if (x != out) std::copy_n(x, n, out);
  });
}

bool has_sgemm() {
  return isa() != Isa::baseline;
}

void sgemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, const Factor& a,
           const Factor& b, float beta, float* c, int64_t ldc) {
  require(has_sgemm() && (beta == 0.0f || beta == 1.0f), "sgemm: beta {}", beta);
  if (ta == Transpose::no && tb == Transpose::yes && m <= kThinRows && n > m)
    return thin_gemm(m, n, k, a, b, beta, c, ldc);
  const bool wide = isa() == Isa::avx512;
  const int64_t r = wide ? 12 : 6, w = wide ? 32 : 16;  // a register tile
  const int64_t depth = even_part(k, wide ? 192 : kDepth, 8);
  const Product product{ta, tb, k, depth, a, b, beta, c, ldc};
  const Grid grid = choose_grid(m, n, r, w);
  parallel_for(grid.down * grid.across, 1, [&](int64_t part, int64_t) {
    const Range rows = share(m, r, grid.down, part / grid.across);
    const Range columns = share(n, w, grid.across, part % grid.across);
    if (rows.size() == 0 || columns.size() == 0) return;
    const auto bytes = [&](int64_t width, int64_t step) {
      return static_cast<size_t>((width + step) * kDepth *
                                 std::min((k + depth - 1) / depth, kBlocks)) *
             sizeof(float);
    };
    const auto packed_a = allocate(bytes(std::min(kRows, rows.size()), r));
    const auto packed_b = allocate(bytes(std::min(kColumns, columns.size()), w));
    float *pa = static_cast<float*>(packed_a.get()), *pb = static_cast<float*>(packed_b.get());
    const auto run = [&]<bool in_rows>() {
      if (wide)
        simd_avx512(
            [&]() HT_INLINE { multiply<12, 2, Sixteen, in_rows>(product, rows, columns, pa, pb); });
      else
        simd_avx2(
            [&]() HT_INLINE { multiply<6, 2, Eight, in_rows>(product, rows, columns, pa, pb); });
    };
    if (ta == Transpose::no)
      run.template operator()<true>();
    else
      run.template operator()<false>();
  });
}

}  // namespace halftone
