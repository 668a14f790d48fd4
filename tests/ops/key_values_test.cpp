#include "halftone/ops/key_values.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

TEST(KeyValues, RowsGoToTheirHeadBehindWhatIsThere) {
  const int64_t batch = 2, heads = 3, d = 4, capacity = 6, length = 2, position = 3;
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor rows = random_tensor({batch * length, heads * d}, 1, 1.0, dtype);
    Tensor store = Tensor::full({batch * heads * capacity, d}, dtype, 7);
    append_key_values(rows, batch, position, capacity, store);
    const Tensor from = rows.to(DType::f64), to = store.to(DType::f64);
    for (int64_t s = 0; s < batch; ++s)
      for (int64_t g = 0; g < heads; ++g)
        for (int64_t t = 0; t < capacity; ++t)
          for (int64_t i = 0; i < d; ++i) {
            const bool written = t >= position && t < position + length;
            const int64_t row = s * length + t - position;
            EXPECT_EQ(to.data<double>()[((s * heads + g) * capacity + t) * d + i],
                      written ? from.data<double>()[row * heads * d + g * d + i] : 7)
                << s << " " << g << " " << t;
          }
  }
}

TEST(KeyValues, AStoreOfF16HoldsTheRowsRounded) {
  const int64_t batch = 2, heads = 3, d = 5, capacity = 6;
  const Tensor rows = random_tensor({batch * 2, heads * d}, 1, 1.0, DType::f32);
  Tensor wide = Tensor::full({batch * heads * capacity, d}, DType::f32, 7),
         half = Tensor::full(wide.shape(), DType::f16, 7);
  append_key_values(rows, batch, 3, capacity, wide);
  append_key_values(rows, batch, 3, capacity, half);
  EXPECT_EQ(largest_difference(half, wide.to(DType::f16)), 0);
  EXPECT_GT(largest_difference(half, wide), 0);
}

TEST(KeyValues, NothingIsWrittenBeyondTheCapacity) {
  const Tensor rows = Tensor::zeros({4, 8}, DType::f32);
  Tensor store = Tensor::zeros({2 * 2 * 5, 4}, DType::f32);
  EXPECT_NO_THROW(append_key_values(rows, 2, 3, 5, store));
  EXPECT_THROW(append_key_values(rows, 2, 4, 5, store), std::invalid_argument);
  EXPECT_THROW(append_key_values(rows, 2, -1, 5, store), std::invalid_argument);
  EXPECT_THROW(append_key_values(rows, 3, 0, 5, store), std::invalid_argument);
  EXPECT_THROW(append_key_values(rows, 2, 0, 6, store), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
