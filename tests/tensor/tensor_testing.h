// Random tensors for the tests of products.
#pragma once

#include "halftone/base/rng.h"
#include "halftone/tensor/tensor.h"

namespace halftone {

inline Tensor random_floats(const Shape& shape, uint64_t stream) {
  Tensor out = Tensor::uninitialized(shape, DType::f32);
  Rng rng(5, stream);
  for (int64_t i = 0; i < out.numel(); ++i) out.data<float>()[i] = static_cast<float>(rng.normal());
  return out;
}

}  // namespace halftone
