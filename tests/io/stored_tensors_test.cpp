#include "halftone/io/stored_tensors.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace halftone {
namespace {

TEST(StoredTensors, AreFoundByNameWithTheirBytes) {
  std::map<std::string, Tensor> tensors{{"b", Tensor::of<float>({2, 1}, {1, 2})},
                                        {"a", Tensor::of<int32_t>({1}, {7})},
                                        {"c", Tensor::zeros({0}, DType::f16)}};
  const StoredTensors stored = stored_tensors(tensors);
  tensors.clear();  // the list keeps the numbers
  ASSERT_EQ(stored.tensors.size(), 3u);
  EXPECT_EQ(stored.tensors[0].name, "a");
  const StoredTensor* b = stored.find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, "F32");
  EXPECT_EQ(b->shape, (Shape{2, 1}));
  ASSERT_EQ(b->bytes.size(), 8u);
  EXPECT_EQ(b->bytes[7], 0x40);  // 2.0f, little-endian
  EXPECT_TRUE(stored.find("c")->bytes.empty());
  for (const char* absent : {"", "aa", "d"}) EXPECT_EQ(stored.find(absent), nullptr) << absent;
}

// Two lists whose names, types and numbers are the same bytes one behind the other.
TEST(StoredTensors, WhereATensorEndsCountsInTheDigest) {
  const auto digest = [](const std::map<std::string, Tensor>& tensors) {
    return tensors_digest(stored_tensors(tensors));
  };
  const Tensor x = Tensor::of<uint8_t>({2}, {'b', 'c'});
  EXPECT_EQ(digest({{"a", x}}), digest({{"a", x.clone()}}));
  EXPECT_NE(digest({{"a", x}}), digest({{"a", x.rows(0, 1)}, {"b", x.rows(1, 2)}}));
  EXPECT_NE(digest({{"a", x}}), digest({{"a", x.reshape({1, 2})}}));
  EXPECT_NE(digest({}), digest({{"a", Tensor::zeros({0}, DType::u8)}}));
}

}  // namespace
}  // namespace halftone
