// Tables of the inputs, then tiles of 16 rows: a look-up, an addition and a shift per four columns.
#include "sign_gemv.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "halftone/base/simd.h"
#include "halftone/tensor/memory.h"
#include "share_tiles.h"
#include "transpose.h"

namespace halftone {
namespace {

typedef uint32_t SixteenWords __attribute__((vector_size(64)));
typedef uint32_t EightWords __attribute__((vector_size(32)));
typedef uint16_t SixteenHalves __attribute__((vector_size(32)));

constexpr int64_t kGroup = 4, kEntries = 16;  // inputs a table, sums of it
constexpr int64_t kTokens = 4;                // multiplied at a time
constexpr int64_t kRows = SignTiles::kRows;
constexpr int64_t kTileBytes = kRows * 4;  // of a chunk

// The tables of one token: entry e of a group's is sum_k +-x_k, minus where bit k of e is set.
HT_INLINE inline void make_tables(int64_t inputs, int64_t chunks, const float* x,
                                  const float* scale, float* table) {
  for (int64_t first = 0; first < chunks * SignTiles::kColumns;
       first += kGroup, table += kEntries) {
    float v[kGroup] = {};
    for (int64_t k = 0; k < std::min(kGroup, inputs - first); ++k)
      v[k] = scale ? x[first + k] * scale[first + k] : x[first + k];
    const Four low = {v[0] + v[1], v[1] - v[0], v[0] - v[1], -v[0] - v[1]},
               high = {v[2] + v[3], v[3] - v[2], v[2] - v[3], -v[2] - v[3]};
#pragma GCC unroll 4
    for (int h = 0; h < 4; ++h) {
      const Four sums = low + high[h];
      std::memcpy(table + 4 * h, &sums, sizeof(sums));
    }
  }
}

// Sixteen finite halves as floats (base/half.h).
HT_INLINE inline void widen(const half_t* in, float* out) {
  SixteenHalves halves;
  std::memcpy(&halves, in, sizeof(halves));
  const SixteenWords bits = __builtin_convertvector(halves, SixteenWords);
  const SixteenWords magnitude = (bits & 0x7fffu) << 13;
  const Sixteen scaled = (Sixteen)magnitude * 0x1.0p112f;
  const SixteenWords whole = (SixteenWords)scaled | (bits & 0x8000u) << 16;
  std::memcpy(out, &whole, sizeof(whole));
}

// Sums of 16 rows, and how an instruction set looks them up.
struct Wide {  // AVX-512: the whole table
  Sixteen sum = {};
  struct Words {
    SixteenWords bits;
    HT_INLINE explicit Words(const uint8_t* tile) { std::memcpy(&bits, tile, sizeof(bits)); }
    HT_INLINE void next() { bits >>= 4; }
  };
  struct Table {
    Sixteen entries;
    HT_INLINE explicit Table(const float* table) { std::memcpy(&entries, table, sizeof(entries)); }
  };
  HT_INLINE void add(const Words& words, const Table& table) {
    Sixteen found;
    permute(table.entries, words.bits, found);
    sum += found;
  }
  HT_INLINE void add_scaled(const float* scale, const Wide& other) {
    Sixteen factor;
    std::memcpy(&factor, scale, sizeof(factor));
    sum += factor * other.sum;
  }
  HT_INLINE void store(float* out) const { std::memcpy(out, &sum, sizeof(sum)); }
};

struct Halves {  // AVX2: half the table, the other half being its negative from back to front
  Eight sum[2] = {};
  struct Words {
    EightWords bits[2];
    // Of each four bits the last one stays; where it is set the others turn, so that they are the
    // place in the first half of the table of what is to be negated.
    HT_INLINE explicit Words(const uint8_t* tile) {
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        EightWords raw;
        std::memcpy(&raw, tile + 32 * i, sizeof(raw));
        const EightWords last = raw & 0x88888888u;
        bits[i] = raw ^ (last >> 1) ^ (last >> 2) ^ (last >> 3);
      }
    }
    HT_INLINE void next() {
      bits[0] >>= 4;
      bits[1] >>= 4;
    }
  };
  struct Table {
    Eight entries;
    HT_INLINE explicit Table(const float* table) { std::memcpy(&entries, table, sizeof(entries)); }
  };
  HT_INLINE void add(const Words& words, const Table& table) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      Eight found;
      permute(table.entries, words.bits[i] & 7u, found);
      const EightWords turned = (EightWords)found ^ (words.bits[i] << 28 & 0x80000000u);
      sum[i] += (Eight)turned;
    }
  }
  HT_INLINE void add_scaled(const float* scale, const Halves& other) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      Eight factor;
      std::memcpy(&factor, scale + 8 * i, sizeof(factor));
      sum[i] += factor * other.sum[i];
    }
  }
  HT_INLINE void store(float* out) const {
    std::memcpy(out, sum, sizeof(sum));
  }
};

struct Plain {
  float sum[kRows] = {};
  struct Words {
    uint32_t bits[kRows];
    explicit Words(const uint8_t* tile) { std::memcpy(bits, tile, sizeof(bits)); }
    void next() {
      for (uint32_t& word : bits) word >>= 4;
    }
  };
  struct Table {
    const float* entries;
    explicit Table(const float* table) : entries(table) {}
  };
  void add(const Words& words, const Table& table) {
    for (int64_t r = 0; r < kRows; ++r) sum[r] += table.entries[words.bits[r] & 15u];
  }
  void add_scaled(const float* scale, const Plain& other) {
    for (int64_t r = 0; r < kRows; ++r) sum[r] += scale[r] * other.sum[r];
  }
  void store(float* out) const { std::memcpy(out, sum, sizeof(sum)); }
};

struct Product {
  const SignTiles& w;
  int64_t tokens;       // of x and y
  const float* tables;  // of a token: chunks x 8 x 16
  const uint8_t* words;
  const half_t* scales;
  float* y;
};

// The rows of R tiles from `tile` on, of T tokens from `token` on.
template <class Sums, int R, int T>
HT_INLINE inline void multiply_tiles(const Product& p, int64_t tile, int64_t token) {
  const int64_t chunks = p.w.chunks(), table = chunks * 8 * kEntries,
                each = chunks / p.w.groups;  // chunks of a group of scales
  const uint8_t* words = p.words + tile * chunks * kTileBytes;
  const float* tables = p.tables + token * table;
  Sums total[R][T] = {};
  for (int64_t group = 0; group < p.w.groups; ++group) {
    Sums sums[R][T] = {};
    for (int64_t chunk = group * each; chunk < (group + 1) * each; ++chunk) {
      const auto at = [&](int r) HT_INLINE { return words + (r * chunks + chunk) * kTileBytes; };
      const auto load = [&]<size_t... r>(std::index_sequence<r...>) HT_INLINE {
        return std::array<typename Sums::Words, R>{typename Sums::Words(at(r))...};
      };
      auto bits = load(std::make_index_sequence<R>());
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) __builtin_prefetch(at(r) + R * chunks * kTileBytes, 0, 3);
#pragma GCC unroll 8
      for (int g = 0; g < 8; ++g) {
#pragma GCC unroll 4
        for (int t = 0; t < T; ++t) {
          const typename Sums::Table entries(tables + t * table + (chunk * 8 + g) * kEntries);
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) sums[r][t].add(bits[r], entries);
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) bits[r].next();
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      float scale[kRows];
      widen(p.scales + ((tile + r) * p.w.groups + group) * kRows, scale);
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) total[r][t].add_scaled(scale, sums[r][t]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) {
      const int64_t first = (tile + r) * kRows;
      float* y = p.y + (token + t) * p.w.rows + first;
      if (first + kRows <= p.w.rows) {
        total[r][t].store(y);
      } else {
        float out[kRows];
        total[r][t].store(out);
        std::copy_n(out, p.w.rows - first, y);
      }
    }
}

template <class Sums, int R>
HT_INLINE inline void multiply_tokens(const Product& p, int64_t tile) {
  int64_t token = 0;
  for (; token + kTokens <= p.tokens; token += kTokens)
    multiply_tiles<Sums, R, kTokens>(p, tile, token);
  for (; token < p.tokens; ++token) multiply_tiles<Sums, R, 1>(p, tile, token);
}

// The tiles [begin, end) of a product.
template <class Sums, int R>
HT_INLINE inline void multiply_range(const Product& p, int64_t begin, int64_t end) {
  int64_t tile = begin;
  for (; tile + R <= end; tile += R) multiply_tokens<Sums, R>(p, tile);
  if constexpr (R > 2)
    for (; tile + 2 <= end; tile += 2) multiply_tokens<Sums, 2>(p, tile);
  for (; tile < end; ++tile) multiply_tokens<Sums, 1>(p, tile);
}

}  // namespace

void sign_gemv(const Tensor& x, std::vector<SignProduct>& products) {
  const int64_t tokens = x.dim(0), columns = products.front().w->columns,
                chunks = products.front().w->chunks(), table = chunks * 8 * kEntries,
                count = static_cast<int64_t>(products.size());
  const auto storage = allocate(static_cast<size_t>(count * tokens * table) * sizeof(float));
  auto* room = static_cast<float*>(storage.get());
  std::vector<Product> out;
  const float* plain = nullptr;  // tables of x itself
  for (SignProduct& p : products) {
    float* tables = room + static_cast<int64_t>(out.size()) * tokens * table;
    const float* scale = p.x_scale.defined() ? p.x_scale.data<float>() : nullptr;
    if (scale || !plain)
      simd([&]() HT_INLINE {
        for (int64_t t = 0; t < tokens; ++t)
          make_tables(columns, chunks, x.data<float>() + t * columns, scale, tables + t * table);
      });
    if (!scale && !plain) plain = tables;
    out.push_back({.w = *p.w,
                   .tokens = tokens,
                   .tables = scale ? tables : plain,
                   .words = p.w->words.data<uint8_t>(),
                   .scales = p.w->scales.data<half_t>(),
                   .y = p.y.data<float>()});
  }
  share_tiles(out, 1, [](const Product& p, int64_t begin, int64_t end) {
    if (isa() == Isa::avx512)
      simd_avx512([&]() HT_INLINE { multiply_range<Wide, 4>(p, begin, end); });
    else if (isa() == Isa::avx2)
      simd_avx2([&]() HT_INLINE { multiply_range<Halves, 2>(p, begin, end); });
    else
      multiply_range<Plain, 1>(p, begin, end);
  });
}

}  // namespace halftone
