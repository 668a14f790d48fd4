// Marks of the GPU: events with times, in any of its queues.
#include "tensor/cuda/mark.cuh"

namespace halftone::cuda {
namespace {

std::shared_ptr<void> event_in(cudaStream_t queue) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate");
  std::shared_ptr<void> out(event,
                            [](void* e) { (void)cudaEventDestroy(static_cast<cudaEvent_t>(e)); });
  check(cudaEventRecord(event, queue), "cudaEventRecord");
  return out;
}

}  // namespace

Mark mark_in(cudaStream_t queue) {
  return Mark(event_in(queue));
}

std::shared_ptr<void> recorded_event() {
  return event_in(stream());
}

double microseconds_between(void* start_event, void* end_event) {
  const auto start = static_cast<cudaEvent_t>(start_event),
             end = static_cast<cudaEvent_t>(end_event);
  check(cudaEventSynchronize(start), "cudaEventSynchronize");
  check(cudaEventSynchronize(end), "cudaEventSynchronize");
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, start, end), "cudaEventElapsedTime");
  return 1e3 * static_cast<double>(milliseconds);
}

}  // namespace halftone::cuda
