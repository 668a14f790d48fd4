#include "halftone/quant/packed_codes.h"

#include <gtest/gtest.h>

#include <vector>

#include "halftone/base/rng.h"

namespace halftone {
namespace {

TEST(PackedCodes, ComeBackAtEveryWidth) {
  for (int bits = 1; bits <= 8; ++bits) {
    Rng rng(1, 2);
    std::vector<uint8_t> codes(101);
    for (uint8_t& code : codes) code = static_cast<uint8_t>(rng.below(uint64_t{1} << bits));
    const Tensor packed = pack_codes(codes, bits);
    EXPECT_EQ(packed.numel(), (101 * bits + 7) / 8);
    EXPECT_EQ(unpack_codes(packed, 101, bits), codes) << bits;
  }
  EXPECT_THROW(pack_codes({4}, 2), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
