#include "halftone/tensor/shape.h"

#include "halftone/base/error.h"

namespace halftone {

void Shape::throw_full() {
  throw std::invalid_argument(fmt::format("Shape: more than {} dimensions", kMostRank));
}

int64_t numel(const Shape& shape) {
  int64_t n = 1;
  for (int64_t d : shape) {
    require(d >= 0, "shape {}: a dimension is negative", shape_text(shape));
    require(!__builtin_mul_overflow(n, d, &n), "shape {}: too many elements", shape_text(shape));
  }
  return n;
}

std::string ShapeText::text() const {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace halftone
