// Reads a run's trace.json, for the tests of programs that write one.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "app/program_testing.h"

namespace halftone::testing {

struct TracedEvent {
  std::string name;
  int64_t step = 0;
  double begin = 0, end = 0;  // us
};

// The complete events of one rank by the names of their threads, each thread in order. Expects that
// none of a thread overlap, and that all lie within their step; values may still be coming in the
// next one.
inline std::map<std::string, std::vector<TracedEvent>> read_trace(const std::string& path,
                                                                  int rank) {
  constexpr double kRounding = 1e-3;
  std::map<std::string, std::vector<TracedEvent>> out;
  std::map<int, std::string> threads;
  std::string process;
  const auto file = nlohmann::json::parse(read_whole(path), nullptr, false);
  EXPECT_TRUE(file.is_object()) << path;
  if (!file.is_object()) return out;
  for (const auto& event : file["traceEvents"]) {
    if (event["pid"] != rank) continue;
    if (event["name"] == "process_name") process = event["args"]["name"];
    if (event["name"] == "thread_name") threads[event["tid"]] = event["args"]["name"];
    if (event["ph"] != "X") continue;
    const double begin = event["ts"], duration = event["dur"];
    EXPECT_GE(duration, 0);
    out[threads.at(event["tid"])].push_back(
        {event["name"], event["args"]["step"], begin, begin + duration});
  }
  EXPECT_EQ(process, "rank " + std::to_string(rank));
  std::map<int64_t, TracedEvent> steps;
  for (const TracedEvent& step : out["steps"]) steps[step.step] = step;
  for (auto& [thread, events] : out) {
    std::ranges::stable_sort(events, {}, &TracedEvent::begin);
    for (size_t i = 0; i < events.size(); ++i) {
      const TracedEvent& event = events[i];
      const TracedEvent& step = steps.at(event.step);
      const double before = i > 0 ? events[i - 1].end : step.begin;
      EXPECT_GE(event.begin, before - kRounding) << thread << ", " << event.name;
      EXPECT_GE(event.begin, step.begin - kRounding) << thread << ", " << event.name;
      EXPECT_TRUE(event.end <= step.end + kRounding || event.name.starts_with("values"))
          << thread << ", " << event.name;
    }
  }
  return out;
}

inline std::set<std::string> names_of(const std::vector<TracedEvent>& events) {
  std::set<std::string> out;
  for (const TracedEvent& event : events) out.insert(event.name);
  return out;
}

}  // namespace halftone::testing
