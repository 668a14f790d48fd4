// Copies of rows, split by head.
#include "halftone/ops/key_values.h"

#include <algorithm>

#include "tensor/dispatch.h"

namespace halftone {

HT_KERNEL(append_key_values, const Tensor& rows, int64_t batch, int64_t position, int64_t capacity,
          Tensor& store)

void cpu::append_key_values(const Tensor& rows, int64_t batch, int64_t position, int64_t capacity,
                            Tensor& store) {
  const int64_t length = rows.dim(0) / batch, d = store.dim(1), heads = rows.dim(1) / d;
  // Calls put(head of a row, its place in the store), both the offset of d numbers.
  const auto for_each_head = [&](const auto& put) {
    for (int64_t row = 0; row < rows.dim(0); ++row)
      for (int64_t g = 0; g < heads; ++g)
        put((row * heads + g) * d,
            ((row / length * heads + g) * capacity + position + row % length) * d);
  };
  if (store.dtype() == DType::f16) {
    const float* from = rows.data<float>();
    half_t* to = store.data<half_t>();
    return for_each_head(
        [&](int64_t row, int64_t place) { float_to_half(from + row, to + place, d); });
  }
  with_real(rows.dtype(), "append_key_values", [&]<class T>() {
    const T* from = rows.data<T>();
    T* to = store.data<T>();
    for_each_head([&](int64_t row, int64_t place) { std::copy_n(from + row, d, to + place); });
  });
}

void append_key_values(const Tensor& rows, int64_t batch, int64_t position, int64_t capacity,
                       Tensor& store) {
  require(rows.rank() == 2 && store.rank() == 2 && batch > 0 && rows.dim(0) % batch == 0 &&
              store.dim(0) * store.dim(1) == batch * capacity * rows.dim(1) && position >= 0 &&
              position + rows.dim(0) / batch <= capacity,
          "append_key_values: {} of {} sequences at {} into {}, capacity {}",
          shape_text(rows.shape()), batch, position, shape_text(store.shape()), capacity);
  HT_RUN(append_key_values, store.device(), rows, batch, position, capacity, store);
}

}  // namespace halftone
