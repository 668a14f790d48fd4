#include "halftone/tensor/shape.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace halftone {
namespace {

TEST(Shape, HoldsItsDimensionsInOrder) {
  Shape shape{3, 5};
  shape.push_back(7);
  EXPECT_EQ(shape.size(), 3u);
  EXPECT_EQ(std::vector<int64_t>(shape.begin(), shape.end()), (std::vector<int64_t>{3, 5, 7}));
  EXPECT_EQ(shape.back(), 7);
  shape[1] = 4;
  EXPECT_EQ(shape, (Shape{3, 4, 7}));
  EXPECT_EQ(numel(shape), 84);
  EXPECT_TRUE(Shape().empty());
  EXPECT_EQ(numel({}), 1);
  EXPECT_EQ(shape_text(shape).text(), "[3, 4, 7]");
}

TEST(Shape, DiffersWhereADimensionOrTheirNumberDoes) {
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2}), (Shape{2, 0}));
  EXPECT_NE((Shape{2}), (Shape{2, 1}));
  EXPECT_NE(Shape(), Shape{0});
}

TEST(Shape, HasAMostRank) {
  const std::vector<int64_t> most(Shape::kMostRank, 1), more(Shape::kMostRank + 1, 1);
  EXPECT_EQ(Shape(most.begin(), most.end()).size(), Shape::kMostRank);
  EXPECT_THROW(Shape(more.begin(), more.end()), std::invalid_argument);
}

TEST(Shape, NumbersThatCannotBeCountedAreRefused) {
  EXPECT_THROW(numel({-1}), std::invalid_argument);
  EXPECT_THROW(numel({int64_t{1} << 40, int64_t{1} << 40}), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
