#include "halftone/compress/calibration.h"

#include <gtest/gtest.h>

#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/rng.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

std::vector<int32_t> random_tokens(int64_t count) {
  Rng rng(5, RngStream::test);
  std::vector<int32_t> out(static_cast<size_t>(count));
  for (int32_t& token : out) token = static_cast<int32_t>(rng.below(40));
  return out;
}

// 2048 tokens are 51 sequences of 40: three parts, of which the last is shorter.
constexpr int64_t kSequences = 120, kLength = 40;

TEST(Calibration, StartsFromTheEmbeddingsOfAllSequences) {
  Decoder model = testing::tiny_decoder();
  const std::vector<int32_t> tokens = random_tokens(kSequences * kLength);
  const Calibration calibration = start_calibration(model, tokens, kSequences);
  Tape tape(Tape::Mode::no_grad);
  EXPECT_TRUE(testing::equal(calibration.inputs, model.embed(tape, tokens, kSequences).value()));
  EXPECT_EQ(calibration.sequences, kSequences);
  EXPECT_EQ(calibration.length, kLength);
  EXPECT_THROW(start_calibration(model, tokens, 7), std::invalid_argument);
}

TEST(Calibration, ABlockRunsOverItPartByPart) {
  Decoder model = testing::tiny_decoder();
  const Calibration calibration =
      start_calibration(model, random_tokens(kSequences * kLength), kSequences);
  std::vector<int64_t> seen;
  int64_t rows = 0;
  model.blocks[0].observer = [&](const Slot& slot, const Tensor& x) {
    if (slot.role == SlotRole::q) rows = x.dim(0);
  };
  const Tensor outputs = run_block(model, 0, calibration, [&] { seen.push_back(rows); });
  EXPECT_EQ(seen, (std::vector<int64_t>{51 * kLength, 51 * kLength, 18 * kLength}));
  Tape tape(Tape::Mode::no_grad);
  const Var last = tape.constant(calibration.inputs.rows(102 * kLength, 120 * kLength));
  EXPECT_TRUE(testing::equal(outputs.rows(102 * kLength, 120 * kLength),
                             model.block(tape, 0, last, 18).value()));
}

TEST(Calibration, OneRankHasTheWhole) {
  Decoder model = testing::tiny_decoder();
  const Calibration calibration = start_calibration(model, random_tokens(80), 2);
  EXPECT_TRUE(testing::equal(calibration.whole(calibration.inputs), calibration.inputs));
  EXPECT_TRUE(testing::equal(calibration.own(calibration.inputs), calibration.inputs));
}

}  // namespace
}  // namespace halftone
