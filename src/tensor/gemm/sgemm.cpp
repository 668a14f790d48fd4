#include "sgemm.h"

#include <algorithm>

#include "fetch_ahead.h"
#include "halftone/base/error.h"
#include "halftone/base/rounding.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/memory.h"
#include "panels.h"

namespace halftone {
namespace {

// A tile's panel of B (at most kDepth deep) stays in the first-level cache, a row tile of A
// (kRowTile rows) and much of a block of B (kColumns) in the second. kRows bound what is packed of
// A, or read where it lies, before the next block of B. kColumns, kRowTile and kRows are multiples
// of every tile's sides, so even parts never exceed them.
constexpr int64_t kColumns = 480, kRowTile = 132, kRows = 6 * kRowTile;
static_assert(std::max(kColumns, kRows) <= kPackedColumns);

// The length of the equal parts, multiples of `step`, that cut n into pieces of at most `most`.
int64_t even_part(int64_t n, int64_t most, int64_t step) {
  return round_up(divide_up(n, divide_up(n, most)), step);
}

struct Product {
  Transpose ta, tb;
  int64_t k, depth;  // of a block
  Factor a, b;
  float beta;
  float* c;
  int64_t ldc;
};

// Rows of A, which is stored as rows x depth, kDepth apart. Up to whole tiles, the last are zero.
template <int R>
HT_INLINE inline void pack_rows(const Factor& f, Range rows, Range depth, float* out) {
  const int64_t height = round_up(rows.size(), R), n = depth.size();
  for (int64_t i = 0; i < height; ++i, out += kDepth) {
    if (i >= rows.size()) {
      std::fill_n(out, n, 0.0f);
      continue;
    }
    const float* row = read_part(f, rows.begin + i, depth.begin, n, out);
    if (row != out) std::copy_n(row, n, out);
  }
}

// The tiles of a block of A, `step` apart, their rows or columns lda apart. The last, if some of
// its rows are missing, lies by itself.
struct Tiles {
  const float* first;
  int64_t lda, step;
  const float* last;
  int64_t last_lda;
};

// The parts of A and B that are packed next.
struct Ahead {
  FetchAhead a, b;
  HT_INLINE void next() {
    a.next();
    b.next();
  }
};

HT_INLINE inline FetchAhead part_of(const Factor& f, bool depth_along_rows, Range lines,
                                    Range depth, int64_t turns) {
  const Range rows = depth_along_rows ? lines : depth, columns = depth_along_rows ? depth : lines;
  const int64_t per_float = f.kind == Factor::Kind::f32 ? 1 : f.kind == Factor::Kind::f16 ? 2 : 4;
  const int64_t at = (rows.begin * f.stride + columns.begin) / per_float;
  return {static_cast<const float*>(f.data) + at, f.stride / per_float, rows.size(),
          columns.size() / per_float, turns};
}

// The tiles of one block of C.
template <int R, int V, class Vector, bool in_rows>
HT_INLINE inline void multiply_block(const Product& p, Range row_tile, Range columns, int64_t depth,
                                     const Tiles& a, const float* b, bool add, Ahead& ahead) {
  constexpr int64_t kWidth = V * static_cast<int64_t>(sizeof(Vector) / sizeof(float));
  using Tile = Tile<R, V, Vector, in_rows>;
  for (int64_t x = columns.begin; x < columns.end; x += kWidth, b += kWidth * depth) {
    const float* tile = a.first;
    for (int64_t y = row_tile.begin; y < row_tile.end; y += R, tile += a.step) {
      float* c = p.c + y * p.ldc + x;
      ahead.next();
      const bool all_rows = y + R <= row_tile.end;
      if (all_rows && x + kWidth <= columns.end) {
        Tile::multiply(depth, tile, a.lda, b, add, c, p.ldc);
        continue;
      }
      alignas(64) float edge[R * kWidth];
      Tile::multiply(depth, all_rows ? tile : a.last, all_rows ? a.lda : a.last_lda, b, false, edge,
                     kWidth);
      for (int64_t r = 0; r < std::min<int64_t>(R, row_tile.end - y); ++r)
        for (int64_t q = 0; q < std::min(kWidth, columns.end - x); ++q)
          c[r * p.ldc + q] = (add ? c[r * p.ldc + q] : 0.0f) + edge[r * kWidth + q];
    }
  }
}

// Floats are read where they lie, unless they are columns that are read often, for many columns of
// C; all else is packed.
template <bool in_rows>
bool reads_in_place(const Factor& a, int64_t columns) {
  constexpr int64_t kFew = 64;
  return a.kind == Factor::Kind::f32 && !rows_meet(a.stride) && (in_rows || columns <= kFew);
}

template <int R, bool in_rows>
HT_INLINE inline Tiles tiles_of(const Factor& f, Range band, Range depth, bool in_place,
                                float* packed) {
  const int64_t whole = band.size() / R * R;
  const Range copied{band.begin + (in_place ? whole : 0), band.end};
  const int64_t lda = in_rows ? kDepth : R, step = R * (in_rows ? kDepth : depth.size());
  if constexpr (in_rows)
    pack_rows<R>(f, copied, depth, packed);
  else
    pack_along<R>(f, copied, depth, packed);
  if (!in_place) return {packed, lda, step, packed + whole / R * step, lda};
  const int64_t row = in_rows ? band.begin : depth.begin,
                column = in_rows ? depth.begin : band.begin;
  return {static_cast<const float*>(f.data) + row * f.stride + column, f.stride,
          in_rows ? R * f.stride : R, packed, lda};
}

// One thread's rectangle of C, rows x columns.
template <int R, int V, class Vector, bool in_rows>
HT_INLINE inline void multiply(const Product& p, Range rows, Range columns, float* packed_a,
                               float* packed_b) {
  constexpr int64_t kWidth = V * static_cast<int64_t>(sizeof(Vector) / sizeof(float));
  const int64_t band_rows = even_part(rows.size(), kRows, R),
                block_columns = even_part(columns.size(), kColumns, kWidth);
  // Packed once, A goes with all columns before the next depth; where it lies it can be read again,
  // and a block of C is finished while it is in the caches.
  const bool in_place = reads_in_place<in_rows>(p.a, columns.size());
  const int64_t span = in_place ? block_columns : columns.size();
  for (int64_t i = rows.begin; i < rows.end; i += band_rows)
    for (int64_t first = columns.begin; first < columns.end; first += span)
      for (int64_t d = 0; d < p.k; d += p.depth) {
        const Range band{i, std::min(i + band_rows, rows.end)},
            depth{d, std::min(d + p.depth, p.k)};
        const int64_t row_tile_rows = even_part(band.size(), kRowTile, R);
        const Tiles tiles = tiles_of<R, in_rows>(p.a, band, depth, in_place, packed_a);
        const int64_t end = std::min(first + span, columns.end);
        for (int64_t j = first; j < end; j += block_columns) {
          const Range block{j, std::min(j + block_columns, end)};
          if (p.tb == Transpose::yes)
            pack_across<kWidth>(p.b, block, depth, packed_b);
          else
            pack_along<kWidth>(p.b, block, depth, packed_b);
          const bool last = j + block_columns >= end;
          const Range deeper{depth.end, std::min(depth.end + p.depth, p.k)};
          const int64_t next = last ? first : block.end;
          const int64_t turns = divide_up(band.size(), R) * divide_up(block.size(), kWidth);
          Ahead ahead;
          if (last && !in_place && band_rows >= rows.size())
            ahead.a = part_of(p.a, in_rows, band, deeper, turns);
          ahead.b =
              part_of(p.b, p.tb == Transpose::yes, {next, std::min(next + block_columns, end)},
                      last ? deeper : depth, turns);
          Tiles row_tile = tiles;
          for (int64_t y = band.begin; y < band.end; y += row_tile_rows) {
            multiply_block<R, V, Vector, in_rows>(p, {y, std::min(y + row_tile_rows, band.end)},
                                                  block, depth.size(), row_tile, packed_b,
                                                  d > 0 || p.beta != 0.0f, ahead);
            row_tile.first += row_tile_rows / R * tiles.step;
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
    const double rows = static_cast<double>(divide_up(divide_up(m, r), down) * r);
    const double columns = static_cast<double>(divide_up(divide_up(n, w), across) * w);
    const double cost = rows * columns + 16 * (rows + columns);  // products and packing
    if (cost < least) {
      least = cost;
      best = {down, across};
    }
  }
  return best;
}

Range share(int64_t n, int64_t step, int64_t parts, int64_t part) {
  const int64_t tiles = divide_up(n, step);
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
  const bool wide = isa() == Isa::avx512;
  const int64_t r = wide ? 12 : 6, w = wide ? 32 : 16;  // a register tile
  const int64_t depth = even_part(k, kDepth, b.kind == Factor::Kind::q8_0 ? q8_0_t::kNumbers : 8);
  const Product product{ta, tb, k, depth, a, b, beta, c, ldc};
  const Grid grid = choose_grid(m, n, r, w);
  parallel_for(grid.down * grid.across, 1, [&](int64_t part, int64_t) {
    const Range rows = share(m, r, grid.down, part / grid.across);
    const Range columns = share(n, w, grid.across, part % grid.across);
    if (rows.size() == 0 || columns.size() == 0) return;
    const auto bytes = [](int64_t width, int64_t step) {
      return static_cast<size_t>((width + step) * kDepth) * sizeof(float);
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
