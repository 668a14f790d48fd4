// Marks of the CPU, and what a build without GPU code says of others; with it, mark.cu has them.
#include "halftone/tensor/mark.h"

namespace halftone {

Mark Mark::now(Device device) {
  if (device == Device::cuda) return Mark(cuda::recorded_event());
  Mark out;
  out.time_ = std::chrono::steady_clock::now();
  return out;
}

double Mark::microseconds_since(const Mark& start) const {
  require(!event_ == !start.event_, "Mark: one is of the CPU, the other of a GPU");
  if (event_) return cuda::microseconds_between(start.event_.get(), event_.get());
  return std::chrono::duration<double, std::micro>(time_ - start.time_).count();
}

#ifndef HALFTONE_CUDA

std::shared_ptr<void> cuda::recorded_event() {
  throw std::invalid_argument("Mark: this build of Halftone has no device cuda");
}

double cuda::microseconds_between(void*, void*) {
  throw std::invalid_argument("Mark: this build of Halftone has no device cuda");
}

#endif

}  // namespace halftone
