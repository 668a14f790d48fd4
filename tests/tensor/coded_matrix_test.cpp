#include "halftone/tensor/coded_matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "halftone/base/rng.h"
#include "halftone/base/threads.h"
#include "tensor/tensor_testing.h"

namespace halftone {
namespace {

constexpr int64_t kColumns = CodedPart::kColumns, kCodes = CodeBook::kCodes;

// The columns of each group, some of which begin a chunk that others do not fill.
using Groups = std::vector<std::vector<int32_t>>;

CodedPart random_part(int64_t rows, int64_t bits, const Groups& groups, int64_t values,
                      bool factored, bool grid, Rng& rng) {
  CodedPart out;
  out.bits = bits;
  out.book.values = values;
  out.book.grid = grid;
  out.book.factored = factored;
  for (int64_t e = 0; e < values; ++e)
    for (int64_t c = 0; c < kCodes; ++c) {
      const int64_t first = e * kCodes + c % (1 << bits);
      const bool repeated = c >= 1 << bits;
      out.book.basis.push_back(repeated ? out.book.basis[first] : static_cast<float>(rng.normal()));
    }
  std::vector<int32_t> columns, ends;
  for (const auto& group : groups) {
    columns.insert(columns.end(), group.begin(), group.end());
    while (columns.size() % kColumns != 0) columns.push_back(-1);
    ends.push_back(static_cast<int32_t>(columns.size() / kColumns));
  }
  out.columns = Tensor::of({static_cast<int64_t>(columns.size())}, columns);
  out.ends = Tensor::of({static_cast<int64_t>(ends.size())}, ends);
  out.words = Tensor::zeros({rows, out.positions() / kColumns * 2 * bits}, DType::u8);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t p = 0; p < out.positions(); ++p)
      write_code(out.words.data<uint8_t>() + r * out.words.dim(1), bits, p,
                 static_cast<uint8_t>(rng.below(uint64_t{1} << bits)));
  out.values = random_floats({rows, out.groups(), values}, 7).to(DType::f16);
  if (factored) out.factors = random_floats({values, out.positions()}, 8).to(DType::f16);
  return out;
}

// 1 to 4 bits; a part, or two that share the columns out; groups of unlike sizes, one empty.
std::vector<CodedMatrix> matrices() {
  std::vector<CodedMatrix> out;
  Rng rng(1, RngStream::test);
  const Groups all{{5, 2, 0}, {}, {1, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}},
      rest{{0, 2, 3}, {7, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19}}, salient{{1, 4, 5, 6}, {8, 10}};
  for (int64_t bits = 1; bits <= 4; ++bits)
    for (const int64_t rows : {1, 7, 37}) {
      out.push_back({rows, 20, {random_part(rows, bits, all, 3, false, false, rng)}});
      out.push_back({rows, 20, {random_part(rows, bits, all, 2, false, true, rng)}});
      out.push_back({rows,
                     20,
                     {random_part(rows, bits, rest, 2, true, false, rng),
                      random_part(rows, 5 - bits, salient, 4, true, false, rng)}});
    }
  return out;
}

// As the header says it, in F64.
std::vector<double> dense(const CodedMatrix& w) {
  std::vector<double> out(static_cast<size_t>(w.rows * w.columns), 0);
  for (const CodedPart& p : w.parts) {
    const Tensor values = p.values.to(DType::f32);
    const Tensor factors = p.factors.defined() ? p.factors.to(DType::f32) : Tensor();
    for (int64_t r = 0; r < w.rows; ++r)
      for (int64_t at = 0, group = 0; at < p.positions(); ++at) {
        while (at >= p.ends.data<int32_t>()[group] * kColumns) ++group;
        const int32_t column = p.columns.data<int32_t>()[at];
        if (column < 0) continue;
        const uint8_t code = read_code(p.words.data<uint8_t>() + r * p.words.dim(1), p.bits, at);
        const float* v = values.data<float>() + (r * p.groups() + group) * p.book.values;
        const float* basis = p.book.basis.data() + code;
        double number = 0;
        for (int64_t i = 0; i < p.book.values; ++i)
          number += static_cast<double>(v[i]) * basis[i * kCodes] *
                    (p.book.factored ? factors.data<float>()[i * p.positions() + at] : 1.0);
        if (p.book.grid) number = v[0] * (static_cast<double>(basis[0]) - v[1]);
        out[r * w.columns + column] = number;
      }
  }
  return out;
}

Tensor multiplied(const Tensor& x, const CodedMatrix& w) {
  Tensor y = Tensor::full({x.dim(0), w.rows}, DType::f32, std::numeric_limits<double>::quiet_NaN());
  multiply_coded(x, w, y);
  return y;
}

TEST(CodedMatrix, CodesAreReadWhereTheyWereWritten) {
  for (int64_t bits = 1; bits <= 4; ++bits) {
    std::vector<uint8_t> row(static_cast<size_t>(4 * bits), 0);
    for (int64_t p = 0; p < 32; ++p)
      write_code(row.data(), bits, p, static_cast<uint8_t>(p * 7 % (1 << bits)));
    for (int64_t p = 0; p < 32; ++p) EXPECT_EQ(read_code(row.data(), bits, p), p * 7 % (1 << bits));
  }
  // As docs/formats.md has it: code 5 of position 17 of three bits, and of position 3 of four.
  std::vector<uint8_t> three(12, 0), four(8, 0);
  write_code(three.data(), 3, 17, 5);
  EXPECT_EQ(three[6], 4);
  EXPECT_EQ(three[10], 2);
  write_code(four.data(), 4, 3, 5);
  EXPECT_EQ(four[4], 0x50);
}

// Few tokens are looked up, more multiplied by rebuilt rows.
TEST(CodedMatrix, ItsProductIsThatOfThePlainMatrix) {
  for (const CodedMatrix& w : matrices()) {
    const std::vector<double> plain = dense(w);
    for (const int64_t tokens : {1, 2, 4, 7, 16, 17, 40}) {
      const Tensor x = random_floats({tokens, w.columns}, 3), y = multiplied(x, w);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t r = 0; r < w.rows; ++r) {
          double sum = 0, size = 0;
          for (int64_t j = 0; j < w.columns; ++j) {
            const double term = plain[r * w.columns + j] * x.data<float>()[t * w.columns + j];
            sum += term;
            size += std::abs(term);
          }
          ASSERT_LE(std::abs(y.data<float>()[t * w.rows + r] - sum), 1e-5 * size)
              << w.rows << " rows, " << w.parts[0].bits << " bits, token " << t << " of " << tokens;
        }
    }
  }
}

TEST(CodedMatrix, ItsProductIsTheSameBitsOnAnyNumberOfThreadsAndBesideOtherTokens) {
  for (const CodedMatrix& w : matrices()) {
    const Tensor x = random_floats({11, w.columns}, 3), many = multiplied(x, w);
    set_threads(1);
    const Tensor one = multiplied(x, w);
    set_threads(0);
    EXPECT_EQ(std::memcmp(many.data<float>(), one.data<float>(), many.bytes()), 0);
    const Tensor last = multiplied(x.rows(10, 11), w);
    EXPECT_EQ(std::memcmp(many.data<float>() + 10 * w.rows, last.data<float>(), last.bytes()), 0);
  }
}

TEST(CodedMatrix, ShapesThatDoNotFitAreRefused) {
  const CodedMatrix w = matrices().front();
  Tensor y = Tensor::zeros({2, w.rows}, DType::f32);
  EXPECT_THROW(multiply_coded(random_floats({2, 19}, 1), w, y), std::invalid_argument);
  EXPECT_THROW(multiply_coded(random_floats({3, 20}, 1), w, y), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
