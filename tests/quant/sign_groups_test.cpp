#include "halftone/quant/sign_groups.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "halftone/tensor/packed_signs.h"

namespace halftone {
namespace {

std::vector<float> floats(const Tensor& t) {
  return {t.data<float>(), t.data<float>() + t.numel()};
}

TEST(SignGroups, TheFirstUnequalPairIsFound) {
  Tensor w = Tensor::of<float>({2, 4}, {2, -2, 2, 2, -3, 3, -5, -5});
  EXPECT_FALSE(unequal_pair(w, 2));
  EXPECT_FALSE(unequal_pair(w, 1));
  const auto pair = unequal_pair(w, 4);
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->row, 1);
  EXPECT_EQ(pair->first, 0);
  EXPECT_EQ(pair->second, 2);
  EXPECT_EQ(pair->at_first, -3);
  EXPECT_EQ(pair->at_second, -5);
  w.data<float>()[1] = std::nextafter(2.0f, 3.0f);  // the next number is another one
  EXPECT_TRUE(unequal_pair(w, 2));
  EXPECT_THROW(unequal_pair(w, 3), std::invalid_argument);
}

TEST(SignGroups, NaNHasNoMagnitude) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(unequal_pair(Tensor::of<float>({1, 2}, {nan, nan}), 2));
}

TEST(SignGroups, MagnitudesAreOfRowsAndGroups) {
  const Tensor w = Tensor::of<float>({2, 4}, {2, -2, 0, -0.0f, -3, 3, -5, -5});
  const Tensor d = group_magnitudes(w, 2);
  EXPECT_EQ(d.shape(), (Shape{2, 2}));
  EXPECT_EQ(floats(d), (std::vector<float>{2, 0, 3, 5}));
}

TEST(SignGroups, SixteenCodesAreANumberFromTheLowestBitOn) {
  Tensor w = Tensor::full({2, 18}, DType::f32, 1);
  for (const int64_t column : {0, 2, 15, 17}) w.data<float>()[18 + column] = -1;
  const Tensor codes = pack_sign_codes(w);
  EXPECT_EQ(codes.shape(), (Shape{2, 2}));
  const int32_t* word = codes.data<int32_t>();
  EXPECT_EQ(static_cast<uint32_t>(word[0]), 0xffffffffu);
  EXPECT_EQ(static_cast<uint32_t>(word[1]), 0xfu);
  EXPECT_EQ(static_cast<uint32_t>(word[2]), 0x7fffffddu);
  EXPECT_EQ(static_cast<uint32_t>(word[3]), 0x7u);
  // w = d (code - 2), number by number.
  for (int64_t i = 0; i < w.dim(0); ++i)
    for (int64_t j = 0; j < w.dim(1); ++j) {
      const uint32_t code = static_cast<uint32_t>(word[i * 2 + j / 16]) >> (2 * (j % 16)) & 3;
      EXPECT_EQ(w.data<float>()[i * 18 + j], static_cast<float>(static_cast<int>(code) - 2));
    }
}

TEST(SignGroups, CodesAreSignsOrWeightsAgain) {
  Tensor w = Tensor::full({2, 18}, DType::f32, 1);
  for (const int64_t column : {0, 2, 15, 17}) w.data<float>()[18 + column] = -1;
  Tensor codes = pack_sign_codes(w);
  EXPECT_EQ(floats(unpack_signs(signs_of_codes(codes, 18), 18)), floats(w));
  const Tensor d = Tensor::of<float>({2, 2}, {1, 2, 3, -4});
  for (int64_t i = 0; i < w.numel(); ++i) w.data<float>()[i] *= d.data<float>()[i / 9];
  EXPECT_EQ(floats(weights_of_codes(codes, d, 18)), floats(w));
  // 0 and 2 are no signs, but numbers; bits behind the last column are none.
  codes.data<int32_t>()[1] = 0x72;  // 2, 0, and 3, 1 unused
  EXPECT_FALSE(signs_of_codes(codes, 18).defined());
  const Tensor weights = weights_of_codes(codes, d, 18);
  EXPECT_EQ(weights.data<float>()[16], 0);
  EXPECT_EQ(weights.data<float>()[17], -4);
  codes.data<int32_t>()[1] = 0x2f;
  EXPECT_TRUE(signs_of_codes(codes, 18).defined());
  EXPECT_THROW(signs_of_codes(codes, 33), std::invalid_argument);
  EXPECT_THROW(weights_of_codes(codes, d, 17), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
