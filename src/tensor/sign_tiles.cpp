// Signs and scales into the order of tiles and back; which kernel multiplies by them.
#include "halftone/tensor/sign_tiles.h"

#include <algorithm>
#include <cstring>

#include "halftone/base/rounding.h"
#include "tensor/dispatch.h"
#include "tensor/gemm/sign_gemm.h"
#include "tensor/gemm/sign_gemv.h"
#include "tensor/gemm/sign_int_gemv.h"

namespace halftone {

HT_CPU_KERNEL(multiply_sign_tiles, const Tensor& x, std::vector<SignProduct>& products,
              SignInputs inputs)

namespace {

constexpr int64_t kWordBytes = SignTiles::kColumns / 8;

// Calls visit(row, bytes of the row, chunk, word of the tiles, bytes that the row has for it).
template <class Visit>
void for_each_word(const SignTiles& w, const Visit& visit) {
  const int64_t row_bytes = divide_up(w.columns, 8);
  parallel_for(w.rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t c = 0; c < w.chunks(); ++c) {
        const int64_t tile = r / SignTiles::kRows, lane = r % SignTiles::kRows;
        visit(r * row_bytes + c * kWordBytes,
              ((tile * w.chunks() + c) * SignTiles::kRows + lane) * kWordBytes,
              std::min(kWordBytes, row_bytes - c * kWordBytes));
      }
  });
}

// Calls visit(place in rows of scales, place in tiles of scales).
template <class Visit>
void for_each_scale(const SignTiles& w, const Visit& visit) {
  for (int64_t r = 0; r < w.rows; ++r)
    for (int64_t k = 0; k < w.groups; ++k)
      visit(r * w.groups + k,
            (r / SignTiles::kRows * w.groups + k) * SignTiles::kRows + r % SignTiles::kRows);
}

}  // namespace

SignTiles tile_signs(const Tensor& packed, const Tensor& scales, int64_t columns) {
  require(packed.rank() == 2 && packed.dim(1) == divide_up(columns, 8) && columns > 0 &&
              (scales.rank() == 1 || scales.rank() == 2) && scales.dim(0) == packed.dim(0) &&
              scales.numel() > 0,
          "tile_signs: signs {}, scales {}, {} columns", shape_text(packed.shape()),
          shape_text(scales.shape()), columns);
  SignTiles w{.rows = packed.dim(0),
              .columns = columns,
              .groups = scales.numel() / packed.dim(0),
              .words = {},
              .scales = {}};
  require(w.groups == 1 || columns % (w.groups * SignTiles::kColumns) == 0,
          "tile_signs: {} columns in {} groups, expected groups of a multiple of {}", columns,
          w.groups, SignTiles::kColumns);
  w.words = Tensor::zeros({w.tiles(), w.chunks(), SignTiles::kRows * kWordBytes}, DType::u8);
  w.scales = Tensor::zeros({w.tiles(), w.groups, SignTiles::kRows}, DType::f16);
  const uint8_t* from = packed.data<uint8_t>();
  uint8_t* words = w.words.data<uint8_t>();
  for_each_word(w, [&](int64_t row_byte, int64_t tile_byte, int64_t n) {
    std::memcpy(words + tile_byte, from + row_byte, static_cast<size_t>(n));
  });
  const half_t* rows = scales.data<half_t>();
  half_t* tiled = w.scales.data<half_t>();
  for_each_scale(w, [&](int64_t row, int64_t tile) { tiled[tile] = rows[row]; });
  return w;
}

Tensor untile_signs(const SignTiles& w) {
  Tensor out = Tensor::uninitialized({w.rows, divide_up(w.columns, 8)}, DType::u8);
  const uint8_t* words = w.words.data<uint8_t>();
  uint8_t* to = out.data<uint8_t>();
  for_each_word(w, [&](int64_t row_byte, int64_t tile_byte, int64_t n) {
    std::memcpy(to + row_byte, words + tile_byte, static_cast<size_t>(n));
  });
  return out;
}

Tensor untile_scales(const SignTiles& w) {
  Tensor out =
      Tensor::uninitialized(w.groups == 1 ? Shape{w.rows} : Shape{w.rows, w.groups}, DType::f16);
  const half_t* tiled = w.scales.data<half_t>();
  half_t* rows = out.data<half_t>();
  for_each_scale(w, [&](int64_t row, int64_t tile) { rows[row] = tiled[tile]; });
  return out;
}

const char* sign_inputs_name(SignInputs inputs) {
  return inputs == SignInputs::f32 ? "f32" : "int11";
}

void cpu::multiply_sign_tiles(const Tensor& x, std::vector<SignProduct>& products,
                              SignInputs inputs) {
  if (x.dim(0) <= kFewTokens)
    return inputs == SignInputs::int11 ? sign_int_gemv(x, products) : sign_gemv(x, products);
  for (SignProduct& p : products) sign_gemm(x, p.x_scale, *p.w, p.y);
}

void multiply_sign_tiles(const Tensor& x, std::vector<SignProduct>& products, SignInputs inputs) {
  for (const auto& [w, x_scale, y] : products)
    require(x.rank() == 2 && x.dtype() == DType::f32 && x.dim(1) == w->columns &&
                y.shape() == Shape{x.dim(0), w->rows} &&
                (!x_scale.defined() || x_scale.shape() == Shape{w->columns}),
            "multiply_sign_tiles: x {}, x_scale {}, W {} x {}, y {}", shape_text(x.shape()),
            shape_text(x_scale.shape()), w->rows, w->columns, shape_text(y.shape()));
  if (x.dim(0) == 0) return;
  HT_RUN(multiply_sign_tiles, x.device(), x, products, inputs);
}

void multiply_sign_tiles(const Tensor& x, const Tensor& x_scale, const SignTiles& w, Tensor& y) {
  std::vector<SignProduct> one{{&w, x_scale, y}};
  multiply_sign_tiles(x, one);
}

}  // namespace halftone
