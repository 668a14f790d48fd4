#include "halftone/io/trace_file.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "halftone/io/text_file.h"
#include "temporary_folder.h"

namespace halftone {
namespace {

using Json = nlohmann::json;
using Queue = TraceSpan::Queue;

class TraceFileTest : public TemporaryFolder {};

const std::vector<TraceSpan> kSpans{
    {Queue::steps, "step", 4, 0, 1.5, 10},          {Queue::compute, "forward", 4, 0, 1.5, 3.0004},
    {Queue::compute, "backward", 4, 0, 3.0004, 10}, {Queue::exchange, "gradients", 4, 2, 3, 6},
    {Queue::exchange, "gradients", 4, 1, 4, 9},     {Queue::exchange, "values", 4, 2, 6, 7},
};

Json event(const char* name, double ts, double dur, int thread) {
  return {{"name", name},         {"ph", "X"}, {"ts", ts},
          {"dur", dur},           {"pid", 3},  {"tid", thread},
          {"args", {{"step", 4}}}};
}

Json metadata(const char* kind, int thread, const char* name) {
  return {{"name", kind}, {"ph", "M"}, {"pid", 3}, {"tid", thread}, {"args", {{"name", name}}}};
}

TEST_F(TraceFileTest, TransfersUnderWayAtOnceAreOnThreadsOfTheirOwn) {
  std::string events = trace_events(3, kSpans);
  ASSERT_TRUE(events.ends_with("},\n"));
  events.resize(events.size() - 2);
  EXPECT_EQ(Json::parse("[" + events + "]"),
            Json({metadata("process_name", 0, "rank 3"), metadata("thread_name", 0, "steps"),
                  metadata("thread_name", 1, "compute"), event("step 4", 1.5, 8.5, 0),
                  event("forward", 1.5, 1.5, 1), event("backward", 3, 7, 1),
                  metadata("thread_name", 2, "exchange"), event("gradients 2", 3, 3, 2),
                  metadata("thread_name", 3, "exchange 2"), event("gradients 1", 4, 5, 3),
                  event("values 2", 6, 1, 2)}));
}

TEST_F(TraceFileTest, OneRankWritesItsOwn) {
  const TraceFigures figures = write_trace(at("trace.json"), kSpans, {});
  EXPECT_EQ(figures.steps, 1);
  EXPECT_DOUBLE_EQ(figures.exchanged.at("gradients").seconds, 6e-6);
  const Json file = Json::parse(read_text_file(at("trace.json"), 1 << 20));
  EXPECT_EQ(file["displayTimeUnit"], "ms");
  EXPECT_EQ(file["traceEvents"].size(), 11u);
  EXPECT_EQ(file["traceEvents"][0]["args"]["name"], "rank 0");
}

}  // namespace
}  // namespace halftone
