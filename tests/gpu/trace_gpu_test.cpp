// Marks and traces whose times are the GPU's.
#include <gtest/gtest.h>

#include "halftone/tensor/device.h"
#include "halftone/tensor/trace.h"

namespace halftone {
namespace {

// Work of some length: each copy reads and writes 256 MB.
void copy_often(const Tensor& from, Tensor& to, int times) {
  for (int i = 0; i < times; ++i) to.copy_from(from);
}

class TraceOnGpu : public ::testing::Test {
 protected:
  const Tensor from_ = Tensor::full({1 << 26}, DType::f32, 1, Device::cuda);
  Tensor to_ = Tensor::zeros({1 << 26}, DType::f32, Device::cuda);
};

TEST_F(TraceOnGpu, MarksAreOfTheQueueNotOfTheMomentOfTheCall) {
  synchronize(Device::cuda);
  const Mark first = Mark::now(Device::cuda);
  copy_often(from_, to_, 1);
  const Mark second = Mark::now(Device::cuda);
  copy_often(from_, to_, 20);
  const Mark third = Mark::now(Device::cuda);
  const double one = second.microseconds_since(first), many = third.microseconds_since(second);
  EXPECT_GT(one, 50);
  EXPECT_GT(many, 10 * one);
  EXPECT_EQ(first.microseconds_since(first), 0);
  EXPECT_THROW(first.microseconds_since(Mark::now(Device::cpu)), std::invalid_argument);
}

TEST_F(TraceOnGpu, PhasesLastAsLongAsWhatWasQueuedInThem) {
  const Trace trace({}, Device::cuda, 1);
  for (int64_t i = 0; i <= kWarmSteps; ++i) {
    trace.begin_step(i);
    trace.enter("forward");
    copy_often(from_, to_, 5);
    trace.enter("backward");
    copy_often(from_, to_, 20);
    trace.end_step();
  }
  const std::vector<TraceSpan> spans = trace.take();
  ASSERT_EQ(spans.size(), 3u);
  const auto length = [&](size_t i) { return spans[i].end - spans[i].begin; };
  EXPECT_GT(length(2), 2 * length(1));
  EXPECT_GT(length(1), 250);
  EXPECT_NEAR(length(0), length(1) + length(2), 0.1 * length(0));
  EXPECT_EQ(spans[2].begin, spans[1].end);
}

}  // namespace
}  // namespace halftone
