// The two orders in which files have the rows of q and k.
#pragma once

#include <cstring>

#include "halftone/tensor/tensor.h"

namespace halftone {

// Where rows 2i and 2i + 1 of a head in pairs are, they are i and head_dim/2 + i in halves: Hugging
// Face has halves, a GGUF of architecture llama pairs.
enum class RotaryOrder { pairs, halves };

// `rows`, head by head in the other order, in the order `to`.
inline Tensor rotary_rows(const Tensor& rows, int64_t heads, RotaryOrder to) {
  Tensor out = Tensor::uninitialized(rows.shape(), rows.dtype());
  const int64_t head_dim = rows.dim(0) / heads, half = head_dim / 2;
  const size_t row_bytes = rows.bytes() / static_cast<size_t>(rows.dim(0));
  const auto* from = static_cast<const uint8_t*>(rows.raw());
  auto* into = static_cast<uint8_t*>(out.raw());
  for (int64_t head = 0; head < heads; ++head)
    for (int64_t i = 0; i < half; ++i)
      for (int64_t p = 0; p < 2; ++p) {
        int64_t target = head * head_dim + 2 * i + p, source = head * head_dim + p * half + i;
        if (to == RotaryOrder::halves) std::swap(target, source);
        std::memcpy(into + static_cast<size_t>(target) * row_bytes,
                    from + static_cast<size_t>(source) * row_bytes, row_bytes);
      }
  return out;
}

}  // namespace halftone
