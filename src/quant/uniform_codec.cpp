// Codes and grids: their sizes, and the weights that they stand for.
#include "halftone/quant/uniform_codec.h"

#include "codec_parts.h"
#include "halftone/base/error.h"
#include "halftone/base/rounding.h"
#include "halftone/quant/packed_codes.h"

namespace halftone {
namespace {

int64_t group_width(const UniformLayout& layout, int64_t columns) {
  return layout.group_size ? layout.group_size : columns;
}

}  // namespace

int64_t UniformLayout::planned_bits(int64_t n, int64_t m, int64_t) const {
  const int64_t grids = n * divide_up(m, group_width(*this, m));
  const int q = static_cast<int>(bits);
  return 8 * (packed_bytes(n * m, q) + 2 * grids + (symmetric ? 0 : packed_bytes(grids, q)) +
              (ordered ? 4 * m : 0));
}

void UniformLayout::check(const LowBitMatrix& m, const std::string& where) const {
  const int q = static_cast<int>(bits);
  const int64_t grids = m.rows * divide_up(m.columns, group_width(*this, m.columns));
  std::vector<ExpectedPart> expected{{"codes", DType::u8, packed_bytes(m.rows * m.columns, q)},
                                     {"scales", DType::f16, grids}};
  if (!symmetric) expected.push_back({"zeros", DType::u8, packed_bytes(grids, q)});
  if (ordered) expected.push_back({"column_order", DType::i32, m.columns});
  require_parts(m, expected, where);
  if (!ordered) return;
  const int32_t* order = m.parts.at("column_order").data<int32_t>();
  std::vector<bool> seen(static_cast<size_t>(m.columns), false);
  for (int64_t p = 0; p < m.columns; ++p) {
    const int32_t j = order[p];
    if (j < 0 || j >= m.columns || seen[j])
      throw_error(ErrorKind::format, "{}.column_order[{}]: {}, each column below {} once expected",
                  where, p, j, m.columns);
    seen[j] = true;
  }
}

Tensor UniformLayout::reconstruct(const LowBitMatrix& m) const {
  const int q = static_cast<int>(bits);
  const int64_t width = group_width(*this, m.columns), groups = divide_up(m.columns, width);
  const auto codes = unpack_codes(m.parts.at("codes"), m.rows * m.columns, q);
  const auto scales = halves(m.parts.at("scales"));
  std::vector<uint8_t> zeros(scales.size(), static_cast<uint8_t>(1 << (q - 1)));
  if (!symmetric) zeros = unpack_codes(m.parts.at("zeros"), static_cast<int64_t>(scales.size()), q);
  const int32_t* order = ordered ? m.parts.at("column_order").data<int32_t>() : nullptr;
  Tensor out = Tensor::uninitialized({m.rows, m.columns}, DType::f32);
  for (int64_t i = 0; i < m.rows; ++i)
    for (int64_t p = 0; p < m.columns; ++p) {
      const int64_t j = order ? order[p] : p, at = i * groups + p / width;
      out.data<float>()[i * m.columns + j] =
          scales[at] * static_cast<float>(codes[i * m.columns + j] - zeros[at]);
    }
  return out;
}

}  // namespace halftone
