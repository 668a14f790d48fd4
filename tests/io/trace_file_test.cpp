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

Json name(const char* kind, int thread, const char* name) {
  return {{"name", kind}, {"ph", "M"}, {"pid", 3}, {"tid", thread}, {"args", {{"name", name}}}};
}

Json place(const char* kind, int thread, int place) {
  return {
      {"name", kind}, {"ph", "M"}, {"pid", 3}, {"tid", thread}, {"args", {{"sort_index", place}}}};
}

TEST_F(TraceFileTest, TransfersUnderWayAtOnceAreOnThreadsOfTheirOwn) {
  std::string events = trace_events(3, kSpans);
  ASSERT_TRUE(events.ends_with("},\n"));
  events.resize(events.size() - 2);
  EXPECT_EQ(Json::parse("[" + events + "]"),
            Json({name("process_name", 1, "rank 3"), place("process_sort_index", 1, 3),
                  name("thread_name", 1, "steps"), place("thread_sort_index", 1, 1),
                  name("thread_name", 2, "compute"), place("thread_sort_index", 2, 2),
                  event("step 4", 1.5, 8.5, 1), event("forward", 1.5, 1.5, 2),
                  event("backward", 3, 7, 2), name("thread_name", 3, "exchange"),
                  place("thread_sort_index", 3, 3), event("gradients 2", 3, 3, 3),
                  name("thread_name", 4, "exchange 2"), place("thread_sort_index", 4, 4),
                  event("gradients 1", 4, 5, 4), event("values 2", 6, 1, 3)}));
}

TEST_F(TraceFileTest, OneRankWritesItsOwn) {
  const TraceFigures figures = write_trace(at("trace.json"), kSpans, {});
  EXPECT_EQ(figures.steps, 1);
  EXPECT_DOUBLE_EQ(figures.exchanged.at("gradients").seconds, 6e-6);
  const Json file = Json::parse(read_text_file(at("trace.json"), 1 << 20));
  EXPECT_EQ(file["displayTimeUnit"], "ms");
  EXPECT_EQ(file["traceEvents"].size(), 16u);
  EXPECT_EQ(file["traceEvents"][0]["args"]["name"], "rank 0");
}

}  // namespace
}  // namespace halftone
