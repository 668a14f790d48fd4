// Moments of a device's work: on the CPU by its clock, on a GPU by an event in a queue.
#pragma once

#include <chrono>
#include <memory>

#include "halftone/tensor/tensor.h"

namespace halftone {

// A handle, cheap to copy.
class Mark {
 public:
  // Now; of a GPU, when it is done with what was queued before, the exchange beside it left out.
  static Mark now(Device device);
  // Of a GPU: an event that was recorded (a cudaEvent_t with timing).
  explicit Mark(std::shared_ptr<void> event) : event_(std::move(event)) {}

  // From `start`, of the same device, to this one; waits for both.
  double microseconds_since(const Mark& start) const;

 private:
  Mark() = default;

  std::chrono::steady_clock::time_point time_;
  std::shared_ptr<void> event_;  // null: of the CPU
};

namespace cuda {

// In the queue that all kernels are in.
std::shared_ptr<void> recorded_event();
double microseconds_between(void* start_event, void* end_event);

}  // namespace cuda

}  // namespace halftone
