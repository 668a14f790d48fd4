#include "halftone/tensor/trace.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

using Queue = TraceSpan::Queue;

// A step as a trainer traces it, with a transfer that lasts beyond a phase.
void step(const Trace& trace, int64_t number) {
  trace.begin_step(number);
  trace.enter("forward");
  const Trace::Bar bar = trace.bar("gradients", 7);
  if (bar) bar.begin(Mark::now(Device::cpu));
  trace.enter("backward");
  trace.enter("backward");
  trace.during(kWaitPhase, [&] {
    if (bar) bar.end(Mark::now(Device::cpu));
  });
  trace.end_step();
}

std::vector<std::string> names(const std::vector<TraceSpan>& spans) {
  std::vector<std::string> out;
  for (const TraceSpan& span : spans) out.push_back(span.name);
  return out;
}

TEST(Trace, HasTheStepsBehindTheWarmOnes) {
  const Trace trace({}, Device::cpu, 2);
  for (int64_t i = 1; i <= 8; ++i) {
    EXPECT_EQ(trace.complete(), i > kWarmSteps + 2);
    step(trace, 10 + i);
  }
  const std::vector<TraceSpan> spans = trace.take();
  const std::vector<std::string> one{"step",     "forward", "gradients",
                                     "backward", "wait",    "backward"};
  std::vector<std::string> two = one;
  two.insert(two.end(), one.begin(), one.end());
  ASSERT_EQ(names(spans), two);
  for (size_t i = 0; i < spans.size(); ++i) EXPECT_EQ(spans[i].step, i < one.size() ? 14 : 15);
  EXPECT_EQ(spans[2].place, 7);
  EXPECT_FALSE(trace.complete());
  EXPECT_TRUE(trace.take().empty());
  step(trace, 19);
  EXPECT_TRUE(trace.take().empty());
}

TEST(Trace, PhasesAreOneBehindTheOtherWithinTheirStep) {
  const Trace trace({}, Device::cpu, 1);
  for (int64_t i = 0; i <= kWarmSteps; ++i) step(trace, i);
  const std::vector<TraceSpan> spans = trace.take();
  ASSERT_EQ(spans.size(), 6u);
  double end = spans[1].begin;
  for (const TraceSpan& span : spans) {
    EXPECT_GE(span.begin, spans[0].begin) << span.name;
    EXPECT_LE(span.begin, span.end) << span.name;
    EXPECT_LE(span.end, spans[0].end) << span.name;
    if (span.queue != Queue::compute) continue;
    EXPECT_EQ(span.begin, end) << span.name;
    end = span.end;
  }
  EXPECT_EQ(end, spans[0].end);
}

TEST(Trace, OfNoStepsDoesNothing) {
  for (const Trace& trace : {Trace(), Trace({}, Device::cpu, 0)}) {
    for (int64_t i = 0; i < 9; ++i) step(trace, i);
    EXPECT_EQ(trace.enter("forward"), nullptr);
    EXPECT_FALSE(trace.bar("gradients", 1));
    EXPECT_FALSE(trace.complete());
    EXPECT_TRUE(trace.take().empty());
  }
}

// A transfer that nobody saw arrive has no time.
TEST(Trace, LeavesOutWhatHasNoEnd) {
  const Trace trace({}, Device::cpu, 1);
  for (int64_t i = 0; i < kWarmSteps; ++i) step(trace, i);
  trace.begin_step(4);
  trace.bar("gradients", 1).begin(Mark::now(Device::cpu));
  trace.end_step();
  EXPECT_EQ(names(trace.take()), std::vector<std::string>{"step"});
}

// us:       0    1    2    3    4    5    6    7    8    9    10
// compute:  forward.......wait......backward............
// gradients:     1.................
//                     2..........................
// values:                                                 1.....
TEST(Trace, FiguresAreWhatLiesBesideCompute) {
  const TraceFigures figures = trace_figures({
      {Queue::steps, "step", 4, 0, 0, 10},
      {Queue::compute, "forward", 4, 0, 0, 3},
      {Queue::exchange, "gradients", 4, 1, 1, 4.5},
      {Queue::exchange, "gradients", 4, 2, 2, 7.5},
      {Queue::compute, "wait", 4, 0, 3, 5},
      {Queue::compute, "backward", 4, 0, 5, 9},
      {Queue::exchange, "values", 4, 1, 9, 10},
      {Queue::steps, "step", 5, 0, 10, 16},
  });
  EXPECT_EQ(figures.steps, 2);
  EXPECT_DOUBLE_EQ(figures.step_seconds, 8e-6);
  ASSERT_EQ(figures.exchanged.size(), 2u);
  const auto& gradients = figures.exchanged.at("gradients");
  EXPECT_DOUBLE_EQ(gradients.seconds, 6.5e-6 / 2);
  EXPECT_DOUBLE_EQ(gradients.beside_compute, 4.5e-6 / 2);
  const auto& values = figures.exchanged.at("values");
  EXPECT_DOUBLE_EQ(values.seconds, 1e-6 / 2);
  EXPECT_EQ(values.beside_compute, 0);
  EXPECT_EQ(trace_figures({}).steps, 0);
}

}  // namespace
}  // namespace halftone
