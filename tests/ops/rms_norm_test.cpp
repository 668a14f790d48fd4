#include "halftone/ops/rms_norm.h"

#include <gtest/gtest.h>

#include "ops/ops_testing.h"

namespace halftone {
namespace {

using Vars = std::vector<Var>;

TEST(RmsNorm, GradientsMatchDifferences) {
  for (const int64_t rows : {4, 130})  // the gain's gradient is summed by parts of 64
    for (const double offset : {0.0, 1.0})
      expect_gradients(
          [&](Tape&, const Vars& x) { return random_sum(rms_norm(x[0], x[1], 1e-5, offset)); },
          {random_tensor({rows, 9}, 1), random_tensor({9}, 2)});
}

TEST(RmsNorm, TheOffsetIsPartOfTheGain) {
  Tape tape(Tape::Mode::no_grad);
  const Var x = tape.constant(random_tensor({3, 8}, 1));
  const Tensor gain = random_tensor({4}, 2);
  Tensor whole = gain.clone();
  for (int64_t i = 0; i < 4; ++i) whole.data<double>()[i] += 1;
  EXPECT_EQ(largest_difference(rms_norm(x, tape.constant(gain), 1e-5, 1).value(),
                               rms_norm(x, tape.constant(whole), 1e-5).value()),
            0);
}

}  // namespace
}  // namespace halftone
