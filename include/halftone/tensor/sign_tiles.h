// A matrix of scaled signs in the order in which the product of a few tokens reads it.
#pragma once

#include <vector>

#include "halftone/tensor/tensor.h"

namespace halftone {

// W (O x I), w_oi = c_ok s_oi, s = +-1, k = i / (I / G) the group of input i; G = 1: a scale a row.
// Rows go in tiles of 16, columns in chunks of 32; rows and columns that a last tile or chunk has
// beyond W are zeros.
struct SignTiles {
  static constexpr int64_t kRows = 16, kColumns = 32;

  int64_t rows = 0, columns = 0, groups = 1;  // O, I, G
  Tensor words;   // U8, tiles x chunks x 64: a little-endian 32-bit word a row, bit j of which is
                  // the sign of column j of the chunk, 1 = -1
  Tensor scales;  // F16, tiles x G x 16

  int64_t tiles() const { return (rows + kRows - 1) / kRows; }
  int64_t chunks() const { return (columns + kColumns - 1) / kColumns; }
};

// From rows of signs as tensor/packed_signs.h has them (O x ceil(I / 8)), and scales in F16, of O
// or O x G numbers. Throws std::invalid_argument where the shapes do not fit, or where I / G, of
// more than one group, is no multiple of 32.
SignTiles tile_signs(const Tensor& packed, const Tensor& scales, int64_t columns);

// The same back: rows of signs, and scales O x G, or with one group O.
Tensor untile_signs(const SignTiles& w);
Tensor untile_scales(const SignTiles& w);

// y (N x O) = (x o x_scale) W^T; x (N x I) and x_scale (I, or undefined: ones) in F32. Up to
// kFewTokens tokens by tables of 16 sums that lie in vector registers, more by sign_gemm: an
// addition does the work of four multiply-adds in both. Every element is summed in the same order
// on any number of threads.
inline constexpr int64_t kFewTokens = 16;
void multiply_sign_tiles(const Tensor& x, const Tensor& x_scale, const SignTiles& w, Tensor& y);

// How the inputs of up to kFewTokens tokens are taken: as they are, or of each 32 columns in whole
// numbers q of -1,023 to 1,023, x = step q with step = max |x| / 1,023, rounded to nearest: an
// error of at most step / 2 an input. A row's sums over 32 columns are exact then, and their bytes
// are looked up 32 or 64 at once. More tokens are multiplied as they are, which is as fast.
enum class SignInputs { f32, int11 };
const char* sign_inputs_name(SignInputs inputs);

// The same for several matrices that read one x: of few tokens the threads share out all of them at
// once, which takes less time than one after another.
struct SignProduct {
  const SignTiles* w;
  Tensor x_scale;
  Tensor y;
};
void multiply_sign_tiles(const Tensor& x, std::vector<SignProduct>& products,
                         SignInputs inputs = SignInputs::f32);

}  // namespace halftone
