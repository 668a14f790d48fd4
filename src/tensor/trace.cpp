#include "halftone/tensor/trace.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "halftone/tensor/device.h"

namespace halftone {

struct Trace::Bar::Span {
  TraceSpan what;  // without its times
  std::optional<Mark> begin, end;
};

void Trace::Bar::begin(const Mark& mark) const {
  if (span_ && !span_->begin) span_->begin = mark;
}

void Trace::Bar::end(const Mark& mark) const {
  if (span_ && !span_->end) span_->end = mark;
}

struct Trace::Recording {
  Ranks ranks;
  Device device;
  int64_t steps;
  int64_t begun = 0;  // of this process
  int64_t step = 0;   // the one that is traced now
  bool on = false;
  std::optional<Mark> start;
  std::vector<Bar> spans;
  Bar step_span, phase_span;
  const char* phase = nullptr;

  void begin_together();
  Bar add(TraceSpan::Queue queue, const char* name, int64_t place = 0);
  void go_on_with(const char* next, const Mark& now);
};

// Ranks come to the first meeting each in its time, and leave the second together.
void Trace::Recording::begin_together() {
  synchronize(device);
  for (int meeting = 0; meeting < 2; ++meeting) ranks.any(false);
  start = Mark::now(device);
}

Trace::Bar Trace::Recording::add(TraceSpan::Queue queue, const char* name, int64_t place) {
  Bar out;
  out.span_ = std::make_shared<Bar::Span>();
  out.span_->what = {.queue = queue, .name = name, .step = step, .place = place};
  spans.push_back(out);
  return out;
}

void Trace::Recording::go_on_with(const char* next, const Mark& now) {
  phase_span.end(now);
  phase = next;
  phase_span = next ? add(TraceSpan::Queue::compute, next) : Bar();
  phase_span.begin(now);
}

Trace::Trace(Ranks ranks, Device device, int64_t steps) {
  if (steps > 0) recording_.reset(new Recording{std::move(ranks), device, steps});
}

void Trace::begin_step(int64_t step) const {
  if (!recording_) return;
  Recording& r = *recording_;
  const int64_t traced = ++r.begun - kWarmSteps;
  r.on = traced >= 1 && traced <= r.steps;
  if (!r.on) return;
  if (!r.start) r.begin_together();
  r.step = step;
  r.step_span = r.add(TraceSpan::Queue::steps, "step");
  r.step_span.begin(Mark::now(r.device));
}

void Trace::end_step() const {
  if (!recording_ || !recording_->on) return;
  const Mark now = Mark::now(recording_->device);
  recording_->go_on_with(nullptr, now);
  recording_->step_span.end(now);
  recording_->on = false;
}

const char* Trace::enter(const char* phase) const {
  if (!recording_ || !recording_->on) return nullptr;
  const char* before = recording_->phase;
  const bool goes_on = phase && before && std::string_view(phase) == before;
  if (!goes_on && phase != before) recording_->go_on_with(phase, Mark::now(recording_->device));
  return before;
}

Trace::Bar Trace::bar(const char* name, int64_t place) const {
  if (!recording_ || !recording_->on) return {};
  return recording_->add(TraceSpan::Queue::exchange, name, place);
}

bool Trace::complete() const {
  return recording_ && !recording_->on && !recording_->spans.empty() &&
         recording_->begun >= kWarmSteps + recording_->steps;
}

// A GPU tells times between near events more exactly: each is taken from the begin of its step.
std::vector<TraceSpan> Trace::take() const {
  std::vector<TraceSpan> out;
  if (!recording_) return out;
  Recording& r = *recording_;
  r.steps = 0;
  double step_begin = 0;
  std::optional<Mark> step;
  for (const Bar& bar : std::exchange(r.spans, {})) {
    const auto& [what, begin, end] = *bar.span_;
    if (!begin || !end) continue;
    if (what.queue == TraceSpan::Queue::steps) {
      step_begin += begin->microseconds_since(step ? *step : *r.start);
      step = begin;
    }
    out.push_back(what);
    out.back().begin = step_begin + begin->microseconds_since(*step);
    out.back().end = step_begin + end->microseconds_since(*step);
  }
  return out;
}

TraceFigures trace_figures(const std::vector<TraceSpan>& spans) {
  using Queue = TraceSpan::Queue;
  TraceFigures out;
  std::vector<TraceSpan> computing;  // one behind the other
  std::map<std::string, std::vector<TraceSpan>> exchanged;
  for (const TraceSpan& span : spans)
    if (span.queue == Queue::exchange)
      exchanged[span.name].push_back(span);
    else if (span.queue == Queue::compute && span.name != kWaitPhase)
      computing.push_back(span);
    else if (span.queue == Queue::steps) {
      ++out.steps;
      out.step_seconds += span.end - span.begin;
    }
  if (out.steps == 0) return out;
  for (auto& [name, bars] : exchanged) {
    TraceFigures::Exchanged& figures = out.exchanged[name];
    std::ranges::sort(bars, {}, &TraceSpan::begin);
    double counted = bars.front().begin;  // up to here
    auto compute = computing.begin();
    for (const TraceSpan& bar : bars) {
      const double from = std::max(bar.begin, counted);
      if (bar.end <= from) continue;
      counted = bar.end;
      figures.seconds += bar.end - from;
      while (compute != computing.end() && compute->end <= from) ++compute;
      for (auto at = compute; at != computing.end() && at->begin < bar.end; ++at)
        figures.beside_compute += std::min(at->end, bar.end) - std::max(at->begin, from);
    }
  }
  const double each = 1e-6 / static_cast<double>(out.steps);
  out.step_seconds *= each;
  for (auto& [name, figures] : out.exchanged) {
    figures.seconds *= each;
    figures.beside_compute *= each;
  }
  return out;
}

}  // namespace halftone
