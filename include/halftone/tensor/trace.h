// Where the time of some steps goes: the phases of what a device computes, one behind the other,
// and beside them what ranks send each other.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "halftone/base/ranks.h"
#include "halftone/tensor/mark.h"

namespace halftone {

// Steps that a process makes before those that are traced: the first ones allocate.
inline constexpr int64_t kWarmSteps = 3;

// The phase in which nothing is computed, until something has arrived.
inline constexpr const char* kWaitPhase = "wait";

struct TraceSpan {
  enum class Queue { steps, compute, exchange };
  Queue queue = Queue::steps;
  std::string name;           // "step", a phase ("forward"), or what is sent ("gradients")
  int64_t step = 0;           // to which it belongs
  int64_t place = 0;          // of what is sent: number of its bucket or block
  double begin = 0, end = 0;  // us since the beginning of the trace, which is one for all ranks
};

// A handle, cheap to copy; copies record together. One that traces nothing, and every other beside
// the steps that it traces, does nothing.
class Trace {
 public:
  Trace() = default;
  // Of `steps` steps behind kWarmSteps others; of none, nothing.
  Trace(Ranks ranks, Device device, int64_t steps);

  // Around each step. The first that is traced is collective: the ranks begin their time together.
  void begin_step(int64_t step) const;
  void end_step() const;

  // From here on the device computes `phase`, which ends the one before; null: none. Gives that.
  const char* enter(const char* phase) const;
  // A phase inside of another.
  template <class Part>
  void during(const char* phase, const Part& part) const {
    const char* before = enter(phase);
    part();
    enter(before);
  }

  // The time of a transfer, which whoever queues it begins and ends: the first of each counts.
  class Bar {
   public:
    Bar() = default;  // of what is not traced
    explicit operator bool() const { return span_ != nullptr; }
    void begin(const Mark& mark) const;
    void end(const Mark& mark) const;

   private:
    friend class Trace;
    struct Span;
    std::shared_ptr<Span> span_;
  };
  Bar bar(const char* name, int64_t place) const;

  bool complete() const;  // its last step has ended, and was not taken
  // What was traced, in the order in which it began to be queued: a step in front of what belongs
  // to it. The trace is over. Waits for the device.
  std::vector<TraceSpan> take() const;

 private:
  struct Recording;
  std::shared_ptr<Recording> recording_;
};

// Of the spans of one rank, a step on average; seconds.
struct TraceFigures {
  struct Exchanged {
    double seconds = 0;         // while some of it was under way
    double beside_compute = 0;  // of these, in other phases than kWaitPhase
  };
  int64_t steps = 0;
  double step_seconds = 0;
  std::map<std::string, Exchanged> exchanged;  // by the spans' names
};
TraceFigures trace_figures(const std::vector<TraceSpan>& spans);

}  // namespace halftone
