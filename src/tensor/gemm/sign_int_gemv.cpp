// Inputs in whole numbers, tables of their sums, then rows by the 32 or 64: two look-ups and two
// additions of bytes for each four columns of them, and for each sixteen what makes numbers of 16
// bits of these.
#include "sign_int_gemv.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "halftone/base/half.h"
#include "halftone/base/simd.h"
#include "halftone/tensor/memory.h"
#include "share_tiles.h"
#include "sign_int_tables.h"
#include "transpose.h"

namespace halftone {
namespace {

using namespace sign_int;

constexpr int64_t kRows = SignTiles::kRows;
constexpr int64_t kTileBytes = kRows * kColumns / 8;  // of a chunk

struct Inputs {
  const uint8_t* tables;  // of a token: chunks x 8 x 32
  const float* steps;     // of a token: chunks
  const int16_t* least;   // sums, likewise
};

struct Product {
  const SignTiles& w;
  Inputs x;
  const uint8_t* words;
  const half_t* scales;
  float* y;
};

// y = sum over groups of scales of scale * sum, tile by tile.
HT_INLINE inline void add_scaled(const Product& p, int64_t tile, int64_t group, const float* sums,
                                 float* y) {
  const half_t* scales = p.scales + (tile * p.w.groups + group) * kRows;
  for (int64_t r = 0; r < std::min(kRows, p.w.rows - tile * kRows); ++r)
    y[r] = (group == 0 ? 0.0f : y[r]) + to_float(scales[r]) * sums[r];
}

#if defined(__x86_64__) && !defined(__clang__)

typedef uint8_t Lane __attribute__((vector_size(kLane), aligned(1), may_alias));

// Vectors of 128 bits for each of so many tiles of 16 rows: two in AVX2, four in AVX-512.
template <int tiles>
struct Vectors {
  typedef uint8_t Bytes __attribute__((vector_size(16 * tiles)));
  typedef int16_t Shorts __attribute__((vector_size(16 * tiles)));
  typedef uint32_t Words __attribute__((vector_size(16 * tiles)));
  typedef uint64_t Longs __attribute__((vector_size(16 * tiles)));
  typedef int32_t Ints __attribute__((vector_size(16 * tiles)));
  typedef float Floats __attribute__((vector_size(16 * tiles)));
  typedef int16_t HalfShorts __attribute__((vector_size(8 * tiles)));
};

// The same 16 bytes to every 128 bits.
template <class Bytes>
HT_INLINE inline void load_all(const uint8_t* from, Bytes& out) {
  const auto& lane = *reinterpret_cast<const Lane*>(from);
  if constexpr (sizeof(Bytes) == 32)
    asm("vbroadcasti128 %1, %0" : "=x"(out) : "m"(lane));
  else
    asm("vbroadcasti32x4 %1, %0" : "=v"(out) : "m"(lane));
}

// 16 bytes of each tile.
template <class Bytes>
HT_INLINE inline void load_tiles(const uint8_t* const* from, int64_t at, Bytes& out) {
  if constexpr (sizeof(Bytes) == 32) {
    asm("vmovdqu %1, %x0" : "=x"(out) : "m"(*reinterpret_cast<const Lane*>(from[0] + at)));
    asm("vinserti128 $1, %1, %0, %0"
        : "+x"(out)
        : "m"(*reinterpret_cast<const Lane*>(from[1] + at)));
  } else {
    Vectors<2>::Bytes halves[2];
    load_tiles(from, at, halves[0]);
    load_tiles(from + 2, at, halves[1]);
    std::memcpy(&out, halves, sizeof(out));
  }
}

// In every 128 bits: out_i = entries[places_i].
template <class Bytes>
HT_INLINE inline void look_up(const Bytes& entries, const Bytes& places, Bytes& out) {
  asm("vpshufb %2, %1, %0" : "=v"(out) : "v"(entries), "v"(places));
}

// out_i = a_2i b_2i + a_2i+1 b_2i+1, a without a sign, b with one.
template <class Bytes, class Shorts>
HT_INLINE inline void multiply_pairs(const Bytes& a, const Bytes& b, Shorts& out) {
  asm("vpmaddubsw %2, %1, %0" : "=v"(out) : "v"(a), "v"(b));
}

template <class Shorts, class Floats>
HT_INLINE inline void to_floats(const Shorts& in, Floats& out) {
  asm("vpmovsxwd %1, %0\n\tvcvtdq2ps %0, %0" : "=v"(out) : "v"(in));
}

// The signs of a chunk's 32 columns: of each eight columns a vector whose bytes are the rows.
template <class V>
HT_INLINE inline void load_signs(const uint8_t* const* tiles, int64_t at,
                                 typename V::Bytes (&out)[4]) {
  using Words = typename V::Words;
  using Longs = typename V::Longs;
  using Bytes = typename V::Bytes;
  // From four bytes of each of four rows to four rows' bytes of each place.
  alignas(kLane) static constexpr uint8_t kTurn[kLane] = {0, 4, 8,  12, 1, 5, 9,  13,
                                                          2, 6, 10, 14, 3, 7, 11, 15};
  Bytes turn;
  load_all(kTurn, turn);
  Words rows[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    Bytes raw, turned;
    load_tiles(tiles, at + i * kLane, raw);
    look_up(raw, turn, turned);
    rows[i] = (Words)turned;
  }
  Words low[2], high[2];
  interleave<0>(rows[0], rows[1], low[0]);
  interleave<0>(rows[2], rows[3], low[1]);
  interleave<1>(rows[0], rows[1], high[0]);
  interleave<1>(rows[2], rows[3], high[1]);
  Longs columns[4];
  interleave<0>((Longs)low[0], (Longs)low[1], columns[0]);
  interleave<1>((Longs)low[0], (Longs)low[1], columns[1]);
  interleave<0>((Longs)high[0], (Longs)high[1], columns[2]);
  interleave<1>((Longs)high[0], (Longs)high[1], columns[3]);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) out[i] = (Bytes)columns[i];
}

// The rows of `tiles` tiles from `tile` on, of T tokens from `token` on; tiles beyond the last one
// are computed as that and dropped.
template <int tiles, int T>
HT_INLINE inline void multiply_tiles(const Product& p, int64_t tile, int64_t token) {
  using V = Vectors<tiles>;
  using Bytes = typename V::Bytes;
  using Shorts = typename V::Shorts;
  using Floats = typename V::Floats;
  using HalfShorts = typename V::HalfShorts;
  const int64_t chunks = p.w.chunks(), each = chunks / p.w.groups,
                there = std::min<int64_t>(tiles, p.w.tiles() - tile);
  const uint8_t* words[tiles];
  for (int64_t i = 0; i < tiles; ++i)
    words[i] = p.words + (tile + std::min(i, there - 1)) * chunks * kTileBytes;
  const uint8_t* tables = p.x.tables + token * chunks * kChunk;
  const float* steps = p.x.steps + token * chunks;
  const int16_t* least = p.x.least + token * chunks;
  const Bytes four_bits = Bytes{} + uint8_t{15};
  // Twice the parts, negative: 2 * 64 is one more than a byte holds.
  const Bytes weights = (Bytes)(Shorts{} + static_cast<int16_t>((-2 * kHigh) * 256 + 256 - 2));
  for (int64_t group = 0; group < p.w.groups; ++group) {
    Floats total[T][2][2] =
        {};  // rows 0 to 7 and 8 to 15, of the first half of tiles and the second
    for (int64_t chunk = group * each; chunk < (group + 1) * each; ++chunk) {
      Bytes signs[4];
      load_signs<V>(words, chunk * kTileBytes, signs);
#pragma GCC unroll 4
      for (int i = 0; i < tiles; ++i)
        __builtin_prefetch(words[i] + chunk * kTileBytes + tiles * chunks * kTileBytes, 0, 3);
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
        const uint8_t* table = tables + (t * chunks + chunk) * kChunk;
        const Shorts start = Shorts{} + least[t * chunks + chunk];
        Shorts sums[2] = {start, start};
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
          Bytes low = {}, high = {};
#pragma GCC unroll 4
          for (int g = half * 4; g < half * 4 + 4; ++g) {
            Bytes places = signs[g / 2], entries, found;
            if (g % 2) places = (Bytes)((typename V::Words)places >> 4);
            places &= four_bits;
            load_all(table + g * kTable, entries);
            look_up(entries, places, found);
            low += found;
            load_all(table + g * kTable + kLane, entries);
            look_up(entries, places, found);
            high += found;
          }
          Bytes turns;
          Shorts part;
          interleave<0>(low, high, turns);
          multiply_pairs(turns, weights, part);
          sums[0] -= part;
          interleave<1>(low, high, turns);
          multiply_pairs(turns, weights, part);
          sums[1] -= part;
        }
        const float step = steps[t * chunks + chunk];
#pragma GCC unroll 2
        for (int rows = 0; rows < 2; ++rows) {
          HalfShorts halves[2];
          std::memcpy(halves, &sums[rows], sizeof(halves));
#pragma GCC unroll 2
          for (int i = 0; i < 2; ++i) {
            Floats sum;
            to_floats(halves[i], sum);
            total[t][rows][i] += step * sum;
          }
        }
      }
    }
    for (int t = 0; t < T; ++t) {
      float* y = p.y + (token + t) * p.w.rows + tile * kRows;
      for (int64_t i = 0; i < there; ++i) {
        float sums[kRows];
        for (int rows = 0; rows < 2; ++rows) {
          const auto* half = reinterpret_cast<const float*>(&total[t][rows][i / (tiles / 2)]);
          std::copy_n(half + i % (tiles / 2) * 8, 8, sums + rows * 8);
        }
        add_scaled(p, tile + i, group, sums, y + i * kRows);
      }
    }
  }
}

template <int tiles>
HT_INLINE inline void multiply_range(const Product& p, int64_t tokens, int64_t begin, int64_t end) {
  constexpr int64_t kTokens = 4;
  for (int64_t tile = begin; tile < end; tile += tiles) {
    int64_t token = 0;
    for (; token + kTokens <= tokens; token += kTokens)
      multiply_tiles<tiles, kTokens>(p, tile, token);
    for (; token < tokens; ++token) multiply_tiles<tiles, 1>(p, tile, token);
  }
}

#endif

// Any processor: an entry of a table at a time.
void multiply_plain(const Product& p, int64_t tokens, int64_t begin, int64_t end) {
  const int64_t chunks = p.w.chunks(), each = chunks / p.w.groups;
  for (int64_t token = 0; token < tokens; ++token)
    for (int64_t tile = begin; tile < end; ++tile)
      for (int64_t group = 0; group < p.w.groups; ++group) {
        float total[kRows] = {};
        for (int64_t chunk = group * each; chunk < (group + 1) * each; ++chunk) {
          const uint8_t* table = p.x.tables + (token * chunks + chunk) * kChunk;
          const uint8_t* signs = p.words + (tile * chunks + chunk) * kTileBytes;
          for (int64_t r = 0; r < kRows; ++r) {
            int32_t sum = p.x.least[token * chunks + chunk];
            for (int64_t g = 0; g < kTables; ++g) {
              const uint8_t* entry = table + g * kTable + (signs[r * 4 + g / 2] >> g % 2 * 4 & 15);
              sum += 2 * (entry[0] + kHigh * entry[kLane]);
            }
            total[r] += p.x.steps[token * chunks + chunk] * static_cast<float>(sum);
          }
        }
        add_scaled(p, tile, group, total, p.y + token * p.w.rows + tile * kRows);
      }
}

void multiply(const Product& p, int64_t tokens, int64_t begin, int64_t end) {
#if defined(__x86_64__) && !defined(__clang__)
  if (isa() == Isa::avx512)
    return simd_avx512([&]() HT_INLINE { multiply_range<4>(p, tokens, begin, end); });
  if (isa() == Isa::avx2)
    return simd_avx2([&]() HT_INLINE { multiply_range<2>(p, tokens, begin, end); });
#endif
  multiply_plain(p, tokens, begin, end);
}

}  // namespace

void sign_int_gemv(const Tensor& x, std::vector<SignProduct>& products) {
  const int64_t tokens = x.dim(0), columns = products.front().w->columns,
                chunks = products.front().w->chunks(), inputs = tokens * chunks;
  // Products of one scale have the same inputs.
  std::vector<const float*> scales;
  std::vector<int64_t> scale_of;
  for (const SignProduct& p : products) {
    const float* scale = p.x_scale.defined() ? p.x_scale.data<float>() : nullptr;
    const auto found = std::ranges::find(scales, scale);
    scale_of.push_back(found - scales.begin());
    if (found == scales.end()) scales.push_back(scale);
  }
  const auto all = static_cast<int64_t>(scales.size()) * inputs;
  const auto storage = allocate(static_cast<size_t>(all * (kChunk + 4 + 2)));
  auto* tables = static_cast<uint8_t*>(storage.get());
  auto* steps = reinterpret_cast<float*>(tables + all * kChunk);
  auto* least = reinterpret_cast<int16_t*>(steps + all);
  // Those of one token are done before a thread has woken.
  parallel_for(all, 256, [&](int64_t begin, int64_t end) {
    simd([&]() HT_INLINE {
      for (int64_t i = begin; i < end; ++i) {
        const float* scale = scales[static_cast<size_t>(i / inputs)];
        const int64_t token = i % inputs / chunks, first = i % chunks * kColumns;
        int16_t q[kColumns];
        steps[i] =
            round_inputs(x.data<float>() + token * columns + first, scale ? scale + first : nullptr,
                         std::min(kColumns, columns - first), q);
        least[i] = least_sum(q);
        make_tables(q, tables + i * kChunk);
      }
    });
  });
  std::vector<Product> out;
  out.reserve(products.size());
  for (SignProduct& p : products) {
    const int64_t first = scale_of[out.size()] * inputs;
    out.push_back({.w = *p.w,
                   .x = {tables + first * kChunk, steps + first, least + first},
                   .words = p.w->words.data<uint8_t>(),
                   .scales = p.w->scales.data<half_t>(),
                   .y = p.y.data<float>()});
  }
  constexpr int64_t kTiles = 4;  // of AVX-512 at a time
  share_tiles(out, kTiles, [&](const Product& p, int64_t begin, int64_t end) {
    multiply(p, tokens, begin, end);
  });
}

}  // namespace halftone
