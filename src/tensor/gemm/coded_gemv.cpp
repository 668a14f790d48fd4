// Books from the values of a row and group, then a shift, a look-up and a multiply-add for each
// vector of columns.
#include "coded_gemv.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "halftone/base/half.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "share_tiles.h"
#include "transpose.h"

namespace halftone {
namespace {

typedef uint32_t FourWords __attribute__((vector_size(16)));
typedef uint32_t EightWords __attribute__((vector_size(32)));
typedef uint32_t SixteenWords __attribute__((vector_size(64)));

constexpr int64_t kColumns = CodedPart::kColumns, kCodes = CodeBook::kCodes;
constexpr int kTokens = 4;  // multiplied at a time

// A part as its kernels read it.
struct Part {
  const CodedPart& w;
  const int32_t *columns, *ends;
  const uint8_t* words;
  const half_t* values;
  int64_t row_bytes, row_values;
  std::vector<float> factors;       // E x P; empty: ones
  std::vector<uint8_t> neighbours;  // of each chunk: whether its columns follow one another
};

std::vector<Part> parts_of(const CodedMatrix& w) {
  std::vector<Part> out;
  for (const CodedPart& p : w.parts) {
    out.push_back({.w = p,
                   .columns = p.columns.data<int32_t>(),
                   .ends = p.ends.data<int32_t>(),
                   .words = p.words.data<uint8_t>(),
                   .values = p.values.data<half_t>(),
                   .row_bytes = p.positions() / kColumns * 2 * p.bits,
                   .row_values = p.groups() * p.book.values,
                   .factors = {},
                   .neighbours = {}});
    if (!p.factors.defined()) continue;
    out.back().factors.resize(static_cast<size_t>(p.factors.numel()));
    half_to_float(p.factors.data<half_t>(), out.back().factors.data(), p.factors.numel());
  }
  return out;
}

// Sixteen columns: how a vector of F (numbers) and W (words) looks them up, codes of B bits.
template <class F, class W, int B>
struct Lanes {
  static constexpr int kLanes = sizeof(F) / sizeof(float), kVectors = kColumns / kLanes;
  static constexpr int kMost = kLanes == 4 ? 16 : kLanes;  // entries that a look-up sees
  static constexpr int kBookVectors = std::max(1 << B, kMost) / kLanes;

  // The codes of a chunk; bits above them are not zero, but the books repeat themselves.
  struct Codes {
    uint64_t low = 0;
    uint32_t high = 0;
    HT_INLINE explicit Codes(const uint8_t* chunk) {
      constexpr size_t bytes = B == 3 ? 4 : 2 * B;
      std::memcpy(&low, chunk, bytes);
      if constexpr (B == 3) {
        std::memcpy(&high, chunk + 4, 2);
        high <<= 2;
      }
    }
    HT_INLINE void at(int vector, W& out) const {
      W lane, pair;
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        lane[i] = static_cast<uint32_t>(vector * kLanes + i);
        pair[i] = static_cast<uint32_t>((vector * kLanes + i) / 2);
      }
      const W words = W{} + static_cast<uint32_t>(low);
      typedef uint16_t Halves __attribute__((vector_size(sizeof(W))));
      typedef uint64_t Pairs __attribute__((vector_size(sizeof(W))));
      if constexpr (B == 1)
        out = (W)(Halves{} + static_cast<uint16_t>(low)) >> lane;
      else if constexpr (B == 2)
        out = words >> 2 * lane;
      else if constexpr (B == 3)
        out = (words >> 2 * lane & 3u) | ((W{} + high) >> lane & 4u);
      else
        out = (W)(Pairs{} + low) >> 4 * pair;
    }
  };

  struct Book {
    F entries[kBookVectors];
    // Of stream e, from the V values of a row and group in floats.
    HT_INLINE Book(const CodeBook& book, int64_t e, const float* values) {
      const float* basis = book.basis.data() + e * kCodes;
      const int64_t added = book.factored || book.grid ? 1 : book.values;
#pragma GCC unroll 4
      for (int k = 0; k < kBookVectors; ++k) {
        F row;
        std::memcpy(&row, basis + k * kLanes, sizeof(F));
        if (book.grid) row -= values[1];
        entries[k] = row * values[e];
        for (int64_t v = 1; v < added; ++v) {
          std::memcpy(&row, basis + v * kCodes + k * kLanes, sizeof(F));
          entries[k] += row * values[v];
        }
      }
    }
#if defined(__x86_64__) && !defined(__clang__)
    static constexpr bool kFours = true;
    // Of codes of two bits within each four lanes: a fourth of the time that all eight take.
    HT_INLINE void look_up_fours(const W& codes, F& out) const {
      asm("vpermilps %2, %1, %0" : "=x"(out) : "x"(entries[0]), "x"(codes));
    }
#else
    static constexpr bool kFours = false;
#endif
    // The numbers that a vector of the chunk stands for.
    HT_INLINE void look_up(const Codes& chunk, int vector, F& out) const {
      W codes;
      chunk.at(vector, codes);
      if constexpr (kLanes == 4) {
        float table[kCodes];
        std::memcpy(table, entries, sizeof(table));
        for (int i = 0; i < kLanes; ++i) out[i] = table[codes[i] & 15u];
      } else if constexpr (kFours && kLanes == 8 && B <= 2) {
        look_up_fours(codes, out);
      } else if constexpr (kBookVectors == 1) {
        permute(entries[0], codes, out);
      } else {
        F low, high;
        permute(entries[0], codes, low);
        permute(entries[1], codes, high);
        out = (codes & 8u) != 0 ? high : low;
      }
    }
  };
};

// The values of the rows [first, first + R) as floats.
HT_INLINE inline void widen_values(const Part& p, int64_t first, int64_t rows, float* out) {
  widen_halves(p.values + first * p.row_values, out, rows * p.row_values);
}

// y = or += the part's share in the rows [first, first + R) of T tokens; `x` has of each token its
// streams' positions.
template <class F, class W, int B, int R, int T>
HT_INLINE inline void multiply_rows(const Part& p, const float* x, int64_t first,
                                    const float* values, bool add, float* y, int64_t outputs) {
  using L = Lanes<F, W, B>;
  const int64_t positions = p.w.positions(), streams = p.w.book.streams();
  F sums[R][T][L::kVectors] = {};
  for (int64_t e = 0; e < streams; ++e) {
    for (int64_t g = 0, chunk = 0; g < p.w.groups(); ++g) {
      const int64_t end = p.ends[g];
      if (chunk == end) continue;
      const auto book = [&](int64_t r) HT_INLINE {
        return typename L::Book(p.w.book, e, values + r * p.row_values + g * p.w.book.values);
      };
      const auto all = [&]<size_t... r>(std::index_sequence<r...>) HT_INLINE {
        return std::array<typename L::Book, R>{book(static_cast<int64_t>(r))...};
      };
      const auto books = all(std::make_index_sequence<R>());
      for (; chunk < end; ++chunk) {
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
          const typename L::Codes codes(p.words + (first + r) * p.row_bytes + chunk * 2 * B);
#pragma GCC unroll 4
          for (int k = 0; k < L::kVectors; ++k) {
            F w;
            books[r].look_up(codes, k, w);
#pragma GCC unroll 4
            for (int t = 0; t < T; ++t) {
              F at;
              std::memcpy(&at, x + (t * streams + e) * positions + chunk * kColumns + k * L::kLanes,
                          sizeof(F));
              sums[r][t][k] += w * at;
            }
          }
        }
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) {
      F whole = sums[r][t][0];
      for (int k = 1; k < L::kVectors; ++k) whole += sums[r][t][k];
      float sum = 0;
      for (int i = 0; i < L::kLanes; ++i) sum += whole[i];
      float& out = y[t * outputs + first + r];
      out = add ? out + sum : sum;
    }
}

// What a product with one part needs.
struct Product {
  const Part& part;
  int64_t tokens, outputs;
  const float* x;  // N x E x P
  bool add;
  float* y;
};

template <class F, class W, int B, int R>
HT_INLINE inline void multiply_tokens(const Product& m, int64_t row, float* values) {
  const int64_t token_size = m.part.w.book.streams() * m.part.w.positions();
  widen_values(m.part, row, R, values);
  int64_t t = 0;
  const auto x = [&]() HT_INLINE { return m.x + t * token_size; };
  const auto y = [&]() HT_INLINE { return m.y + t * m.outputs; };
  for (; t + kTokens <= m.tokens; t += kTokens)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
      multiply_rows<F, W, B, 1, kTokens>(m.part, x(), row + r, values + r * m.part.row_values,
                                         m.add, y(), m.outputs);
  for (; t < m.tokens; ++t)
    multiply_rows<F, W, B, R, 1>(m.part, x(), row, values, m.add, y(), m.outputs);
}

constexpr int kRows = 4;  // of one token at a time

template <class F, class W, int B>
HT_INLINE inline void multiply_range(const Product& m, int64_t begin, int64_t end, float* values) {
  int64_t row = begin;
  for (; row + kRows <= end; row += kRows) multiply_tokens<F, W, B, kRows>(m, row, values);
  for (; row < end; ++row) multiply_tokens<F, W, B, 1>(m, row, values);
}

// A row of a part, at its positions: = or += a stream's share.
template <class F, class W, int B>
HT_INLINE inline void rebuild_stream(const Part& p, int64_t row, int64_t e, const float* values,
                                     float* out) {
  using L = Lanes<F, W, B>;
  const CodeBook& how = p.w.book;
  const float* factors = p.factors.empty() ? nullptr : p.factors.data() + e * p.w.positions();
  for (int64_t g = 0, chunk = 0; g < p.w.groups(); ++g) {
    if (chunk == p.ends[g]) continue;
    const typename L::Book book(how, e, values + g * how.values);
    for (; chunk < p.ends[g]; ++chunk) {
      const typename L::Codes codes(p.words + row * p.row_bytes + chunk * 2 * B);
#pragma GCC unroll 4
      for (int k = 0; k < L::kVectors; ++k) {
        const int64_t at = chunk * kColumns + k * L::kLanes;
        F w, factor, before;
        book.look_up(codes, k, w);
        if (factors) {
          std::memcpy(&factor, factors + at, sizeof(F));
          w *= factor;
        }
        if (e > 0) {
          std::memcpy(&before, out + at, sizeof(F));
          w += before;
        }
        std::memcpy(out + at, &w, sizeof(F));
      }
    }
  }
}

// Numbers at their positions to their columns.
void scatter(const Part& p, const float* from, float* out) {
  for (int64_t first = 0; first < p.w.positions(); first += kColumns) {
    const int32_t* columns = p.columns + first;
    if (p.neighbours[first / kColumns]) {
      std::memcpy(out + columns[0], from + first, kColumns * sizeof(float));
      continue;
    }
    for (int64_t i = 0; i < kColumns; ++i)
      if (columns[i] >= 0) out[columns[i]] = from[first + i];
  }
}

// The rows [begin, end) of a part, where their columns are.
template <class F, class W, int B>
HT_INLINE inline void rebuild_range(const Part& p, int64_t begin, int64_t end, int64_t inputs,
                                    float* room, float* out) {
  float* values = room + p.w.positions();
  for (int64_t row = begin; row < end; ++row, out += inputs) {
    widen_values(p, row, 1, values);
    for (int64_t e = 0; e < p.w.book.streams(); ++e)
      rebuild_stream<F, W, B>(p, row, e, values, room);
    scatter(p, room, out);
  }
}

// Calls body.template operator()<F, W, B>() for codes of `bits` on vectors of F and W.
template <class F, class W>
HT_INLINE inline void with_bits(int64_t bits, const auto& body) {
  if (bits == 1) return body.template operator()<F, W, 1>();
  if (bits == 2) return body.template operator()<F, W, 2>();
  if (bits == 3) return body.template operator()<F, W, 3>();
  body.template operator()<F, W, 4>();
}

void with_vectors(int64_t bits, const auto& body) {
#ifndef __clang__  // which takes minutes over what the fuzzer does not need
  if (isa() == Isa::avx512)
    return simd_avx512([&]() HT_INLINE { with_bits<Sixteen, SixteenWords>(bits, body); });
  if (isa() == Isa::avx2)
    return simd_avx2([&]() HT_INLINE { with_bits<Eight, EightWords>(bits, body); });
#endif
  with_bits<Four, FourWords>(bits, body);
}

int64_t rows_of_a_task(const CodedMatrix& w) {
  return round_up(divide_up(w.rows, tasks_of(w.rows * w.columns)), kRows);
}

// Room for the values of `rows` rows of any part, and for its positions.
std::vector<float> room_of(const std::vector<Part>& parts, int64_t rows, bool positions) {
  int64_t most = 0;
  for (const Part& p : parts)
    most = std::max(most, rows * p.row_values + (positions ? p.w.positions() : 0));
  return std::vector<float>(static_cast<size_t>(most));
}

void find_neighbours(Part& p) {
  for (const int32_t* at = p.columns; at < p.columns + p.w.positions(); at += kColumns) {
    bool all = at[0] >= 0;
    for (int64_t i = 1; i < kColumns; ++i) all = all && at[i] == at[0] + i;
    p.neighbours.push_back(all);
  }
}

// The inputs of each stream where the part's columns are.
std::vector<float> gathered(const Part& p, const Tensor& x) {
  const int64_t positions = p.w.positions();
  std::vector<float> out;
  out.reserve(static_cast<size_t>(x.dim(0) * p.w.book.streams() * positions));
  for (int64_t t = 0; t < x.dim(0); ++t)
    for (int64_t e = 0; e < p.w.book.streams(); ++e)
      for (int64_t i = 0; i < positions; ++i) {
        const int32_t column = p.columns[i];
        const float number = column < 0 ? 0 : x.data<float>()[t * x.dim(1) + column];
        out.push_back(p.factors.empty() ? number : number * p.factors[e * positions + i]);
      }
  return out;
}

}  // namespace

void coded_gemv(const Tensor& x, const CodedMatrix& w, Tensor& y) {
  const std::vector<Part> parts = parts_of(w);
  std::vector<std::vector<float>> inputs;
  std::vector<Product> products;
  inputs.reserve(parts.size());
  for (const Part& p : parts) {
    inputs.push_back(gathered(p, x));
    products.push_back({.part = p,
                        .tokens = x.dim(0),
                        .outputs = w.rows,
                        .x = inputs.back().data(),
                        .add = !products.empty(),
                        .y = y.data<float>()});
  }
  parallel_for(w.rows, rows_of_a_task(w), [&](int64_t begin, int64_t end) {
    std::vector<float> values = room_of(parts, kRows, false);
    for (const Product& m : products)
      with_vectors(m.part.w.bits, [&]<class F, class W, int B>() HT_INLINE {
        multiply_range<F, W, B>(m, begin, end, values.data());
      });
  });
}

void rebuild_rows(const CodedMatrix& w, int64_t begin, int64_t end, float* out) {
  std::vector<Part> parts = parts_of(w);
  for (Part& p : parts) find_neighbours(p);
  parallel_for(end - begin, 16, [&](int64_t first, int64_t last) {
    std::vector<float> room = room_of(parts, 1, true);
    for (const Part& p : parts)
      with_vectors(p.w.bits, [&]<class F, class W, int B>() HT_INLINE {
        rebuild_range<F, W, B>(p, begin + first, begin + last, w.columns, room.data(),
                               out + first * w.columns);
      });
  });
}

}  // namespace halftone
