#include "halftone/quant/low_bit_matrix.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>

#include "halftone/base/error.h"
#include "halftone/quant/rtn.h"
#include "quant_testing.h"

namespace halftone {
namespace {

using testing::random_weight;

TEST(LowBitMatrix, HasTheFileSizesOfLlama7B) {
  // Linears of LLaMA-7B and its fp16 embedding and head; bits of methods 5.7 at r = 0.09.
  const auto gigabytes = [](bool rc, bool cgb) {
    double bits = 16.0 * 2 * 32000 * 4096;
    for (const auto& [n, m, count] :
         {std::array<int64_t, 3>{4096, 4096, 4 * 32}, {11008, 4096, 2 * 32}, {4096, 11008, 32}}) {
      const BinaryLayout layout{
          .blocksize = 128, .row_column = rc, .partitioned = true, .cgb = cgb};
      bits += static_cast<double>(count * layout.planned_bits(n, m, std::lround(0.09 * m)));
    }
    return bits / 8e9;
  };
  EXPECT_NEAR(gigabytes(false, false), 2.93, 0.006);
  EXPECT_NEAR(gigabytes(false, true), 3.23, 0.006);
  EXPECT_NEAR(gigabytes(true, false), 2.63, 0.006);
  EXPECT_NEAR(gigabytes(true, true), 2.83, 0.006);
}

TEST(LowBitMatrix, MissingAndWrongPartsAreNamed) {
  LowBitMatrix q = rtn(random_weight(4, 32, 15), {.bits = 2, .group_size = 16});
  check_parts(q, "w");
  q.parts["zeros"] = Tensor::zeros({3}, DType::u8);
  try {
    check_parts(q, "w");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "w.zeros: 3 numbers of U8, expected 2 of U8");
  }
  q.parts["more"] = Tensor::zeros({7}, DType::f32);
  EXPECT_THROW(check_parts(q, "w"), Error);
  q.parts.erase("more");
  q.parts.erase("zeros");
  EXPECT_THROW(check_parts(q, "w"), Error);
}

TEST(LowBitMatrix, ALayoutIsReadBackFromItsText) {
  const LowBitLayout layouts[] = {
      UniformLayout{.bits = 3, .group_size = 64, .symmetric = true, .ordered = false},
      UniformLayout{.bits = 8, .group_size = 0, .symmetric = false, .ordered = true},
      BinaryLayout{},
      BinaryLayout{
          .blocksize = 128, .row_column = true, .partitioned = true, .cgb = true, .num_p = 3}};
  for (const LowBitLayout& layout : layouts)
    EXPECT_EQ(parse_layout(layout_text(layout)), layout) << layout_text(layout);
  EXPECT_EQ(layout_text(layouts[0]), "uniform 3 64 1 0");
}

TEST(LowBitMatrix, ATextThatIsNoLayoutIsRefused) {
  for (const std::string text :
       {"", "ternary 1 2", "uniform", "uniform 9 64 0 0", "uniform 0 64 0 0", "uniform 3 -1 0 0",
        "uniform 3 64 2 0", "uniform 3 64 1 0 junk", "binary 128 0 1 0", "binary 128 0 1 0 0",
        "binary 128 0 1 0 8"})
    EXPECT_THROW(parse_layout(text), Error) << text;
}

}  // namespace
}  // namespace halftone
