#include "halftone/quant/sign_groups.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

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

}  // namespace
}  // namespace halftone
