#include "halftone/io/trace_file.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "halftone/io/atomic_file.h"

namespace halftone {
namespace {

constexpr size_t kGatheredBytes = 1 << 16;  // of a rank at once

enum Thread { kSteps = 1, kCompute = 2, kExchange = 3 };  // and those behind it

std::string metadata(int rank, int thread, std::string_view what, std::string_view argument,
                     const std::string& value) {
  return fmt::format(R"({{"name":"{}_{}","ph":"M","pid":{},"tid":{},"args":{{"{}":{}}}}},)"
                     "\n",
                     what, argument, rank, thread, argument, value);
}

// The name of a process or a thread, and its place among the others.
std::string named(std::string_view what, int rank, int thread, int place, const std::string& name) {
  return metadata(rank, thread, what, "name", fmt::format("\"{}\"", name)) +
         metadata(rank, thread, what, "sort_index", std::to_string(place));
}

std::string named_thread(int rank, int thread, const std::string& name) {
  return named("thread", rank, thread, thread, name);
}

std::string event(int rank, int thread, const TraceSpan& span) {
  // Rounded once, so that what ends where another begins does so in the file.
  const double begin = std::round(1e3 * span.begin), end = std::round(1e3 * span.end);
  std::string name = span.name;
  if (span.queue == TraceSpan::Queue::steps) name += fmt::format(" {}", span.step);
  if (span.queue == TraceSpan::Queue::exchange) name += fmt::format(" {}", span.place);
  return fmt::format(
      R"({{"name":"{}","ph":"X","ts":{:.3f},"dur":{:.3f},"pid":{},"tid":{},"args":{{"step":{}}}}},)"
      "\n",
      name, begin / 1e3, (end - begin) / 1e3, rank, thread, span.step);
}

TraceFigures mean(const TraceFigures& own, const Ranks& ranks) {
  std::vector<double> numbers{own.step_seconds};
  for (const auto& [name, figures] : own.exchanged)
    numbers.insert(numbers.end(), {figures.seconds, figures.beside_compute});
  std::vector<double> sums(numbers.size(), 0);
  for (const std::vector<double>& of_rank : ranks.gather(numbers))
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += of_rank.at(i) / ranks.size();
  TraceFigures out = own;
  auto next = sums.begin();
  out.step_seconds = *next++;
  for (auto& [name, figures] : out.exchanged) {
    figures.seconds = *next++;
    figures.beside_compute = *next++;
  }
  return out;
}

}  // namespace

std::string trace_events(int rank, const std::vector<TraceSpan>& spans) {
  std::string out = named("process", rank, kSteps, rank, fmt::format("rank {}", rank)) +
                    named_thread(rank, kSteps, "steps") + named_thread(rank, kCompute, "compute");
  std::vector<TraceSpan> transfers;
  for (const TraceSpan& span : spans)
    if (span.queue == TraceSpan::Queue::exchange)
      transfers.push_back(span);
    else
      out += event(rank, span.queue == TraceSpan::Queue::steps ? kSteps : kCompute, span);
  std::ranges::stable_sort(transfers, {}, &TraceSpan::begin);
  std::vector<double> ends;  // of the threads of the exchange
  for (const TraceSpan& span : transfers) {
    const auto free =
        std::ranges::find_if(ends, [&](double end) { return end <= span.begin; }) - ends.begin();
    if (free == std::ssize(ends)) {
      ends.push_back(0);
      out += named_thread(rank, kExchange + static_cast<int>(free),
                          free == 0 ? "exchange" : fmt::format("exchange {}", free + 1));
    }
    ends[static_cast<size_t>(free)] = span.end;
    out += event(rank, kExchange + static_cast<int>(free), span);
  }
  return out;
}

TraceFigures write_trace(const std::string& path, const std::vector<TraceSpan>& spans,
                         const Ranks& ranks) {
  const std::string own = trace_events(ranks.rank(), spans);
  std::vector<std::string> all(static_cast<size_t>(ranks.size()));
  for (size_t at = 0; ranks.any(at < own.size()); at += kGatheredBytes) {
    const std::vector<std::string> parts =
        ranks.gather(own.substr(std::min(at, own.size()), kGatheredBytes));
    for (size_t rank = 0; ranks.first() && rank < parts.size(); ++rank) all[rank] += parts[rank];
  }
  ranks.first_does([&] {
    std::string events = fmt::format("{}", fmt::join(all, ""));
    events.erase(events.find_last_of(','), 1);
    write_text_durably(
        path, fmt::format("{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{}]}}\n", events));
  });
  return mean(trace_figures(spans), ranks);
}

}  // namespace halftone
