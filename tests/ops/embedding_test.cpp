#include "halftone/ops/embedding.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(Embedding, GradientsAddUpOverRepeatedTokens) {
  expect_gradients(
      [](Tape&, const Vars& x) {
        return random_sum(embedding({2, 0, 2, 1}, x[0]));
      },
      {random_tensor({4, 6}, 1)});
}

TEST(AddPositions, GradientsAddUpOverSequences) {
  expect_gradients([](Tape&, const Vars& x) { return random_sum(add_positions(x[0], x[1], 3, 2)); },
                   {random_tensor({6, 5}, 1), random_tensor({7, 5}, 2)});
}

TEST(AddPositions, CountsRowsFromTheFirstInEachSequenceAndWidensF16) {
  Tape tape(Tape::Mode::no_grad);
  const Tensor x = Tensor::of<float>({4, 1}, {100, 200, 300, 400}),
               table = Tensor::of<float>({5, 1}, {0, 1, 2, 3, 4});
  for (const DType dtype : {DType::f32, DType::f16})
    EXPECT_EQ(largest_difference(
                  add_positions(tape.constant(x), tape.constant(table.to(dtype)), 2, 3).value(),
                  Tensor::of<float>({4, 1}, {103, 204, 303, 404})),
              0);
  EXPECT_THROW(add_positions(tape.constant(x), tape.constant(table), 2, 4), std::invalid_argument);
  EXPECT_THROW(add_positions(tape.constant(x), tape.constant(table), 3, 0), std::invalid_argument);
}

TEST(Embedding, AnIdWithoutARowIsRefused) {
  Tape tape(Tape::Mode::no_grad);
  const Var table = tape.constant(Tensor::of<float>({2, 1}, {5, 6}));
  EXPECT_EQ(largest_difference(embedding({1, 0}, table).value(), Tensor::of<float>({2, 1}, {6, 5})),
            0);
  EXPECT_THROW(embedding({2}, table), std::invalid_argument);
  EXPECT_THROW(embedding({-1}, table), std::invalid_argument);
}

}  // namespace
}  // namespace halftone
