#include "halftone/tensor/packed_signs.h"

namespace halftone {

Tensor pack_signs(const Tensor& w) {
  require(w.rank() == 2, "pack_signs: shape {}", shape_text(w.shape()));
  const int64_t n = w.dim(0), m = w.dim(1), bytes = (m + 7) / 8;
  Tensor packed = Tensor::zeros({n, bytes}, DType::u8);
  const float* in = w.data<float>();
  uint8_t* out = packed.data<uint8_t>();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j)
      if (!(in[i * m + j] >= 0.0f)) out[i * bytes + j / 8] |= static_cast<uint8_t>(1u << (j % 8));
  return packed;
}

Tensor unpack_signs(const Tensor& packed, int64_t columns) {
  require(packed.rank() == 2 && packed.dim(1) == (columns + 7) / 8,
          "unpack_signs: {} for {} columns", shape_text(packed.shape()), columns);
  const int64_t n = packed.dim(0), bytes = packed.dim(1);
  Tensor w = Tensor::uninitialized({n, columns}, DType::f32);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < columns; ++j)
      w.data<float>()[i * columns + j] =
          packed.data<uint8_t>()[i * bytes + j / 8] >> (j % 8) & 1 ? -1.0f : 1.0f;
  return w;
}

}  // namespace halftone
