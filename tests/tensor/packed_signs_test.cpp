#include "halftone/tensor/packed_signs.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

TEST(PackedSigns, ComeBackAndHaveTheReleasedLayout) {
  const Tensor w = Tensor::of<float>(
      {2, 10}, {-1, 1, 1, -2, 0.0f, -0.0f, 3, -4, -5, 6, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1});
  const Tensor packed = pack_signs(w);
  ASSERT_EQ(packed.shape(), (Shape{2, 2}));
  EXPECT_EQ(packed.data<uint8_t>()[0], 0b10001001);  // bit b is column b, 1 = -1; zeros are +1
  EXPECT_EQ(packed.data<uint8_t>()[1], 0b00000001);
  EXPECT_EQ(packed.data<uint8_t>()[3], 0b00000010);
  const Tensor back = unpack_signs(packed, 10);
  for (int64_t i = 0; i < 20; ++i)
    EXPECT_EQ(back.data<float>()[i], w.data<float>()[i] >= 0 ? 1 : -1);
  EXPECT_THROW(unpack_signs(packed, 17), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
