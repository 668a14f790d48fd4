// A matrix of small codes, in the order in which the product of a few tokens reads it: each row and
// group of columns has a book that says which number a code stands for.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

// What the books of a part are made of, V values v of a row and group: the number of code c is
//   sum_i v_i basis_ic, or with `grid`, where V = 2, v_0 (basis_0c - v_1),
// in one stream; or `factored`, in V streams, v_e basis_ec in stream e.
struct CodeBook {
  static constexpr int64_t kCodes = 16;

  int64_t values = 0;  // V
  bool grid = false;
  bool factored = false;     // the part has factors
  std::vector<float> basis;  // V x 16; code c at c, c + 2^bits, ..

  int64_t streams() const { return factored ? values : 1; }  // E
};

// w_ij = sum_e book_e[code_ij] f_ej for the columns j of the part, book that of row i and of the
// group of j. Columns have positions, in chunks of 16; a group is some whole chunks.
struct CodedPart {
  static constexpr int64_t kColumns = 16, kMostBits = 4;

  int64_t bits = 0;  // of a code, 1 to 4
  CodeBook book;
  Tensor columns;  // I32, P positions: the column of each; -1: none
  Tensor ends;     // I32, G: the chunks before each group's end
  Tensor words;    // U8, O x (P / 16) x 2 bits, little-endian. Code of position p of a chunk: of
                   // 1 bit bit p; of 2 bits from 2 p on; of 3 bits its low two from 2 p on, the
                   // high one at 32 + p; of 4 bits from 32 (p mod 2) + 4 floor(p / 2) on
  Tensor values;   // F16, O x G x V
  Tensor factors;  // F16, E x P: f; undefined: ones

  int64_t positions() const { return columns.numel(); }
  int64_t groups() const { return ends.numel(); }
};

// The code at a position of a row of words, and the same written where zeros are.
uint8_t read_code(const uint8_t* row, int64_t bits, int64_t position);
void write_code(uint8_t* row, int64_t bits, int64_t position, uint8_t code);

// O x I; each column is in one part.
struct CodedMatrix {
  int64_t rows = 0, columns = 0;  // O, I
  std::vector<CodedPart> parts;
};

// y (N x O) = x W^T, x (N x I), F32. Up to kFewTokensCoded tokens by looking the codes up in books
// that lie in vector registers; for more W is rebuilt, some rows at a time. Every element is summed
// in the same order on any number of threads.
inline constexpr int64_t kFewTokensCoded = 16;
void multiply_coded(const Tensor& x, const CodedMatrix& w, Tensor& y);

}  // namespace halftone
