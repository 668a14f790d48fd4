#include "app/interrupt.h"

#include <time.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>

namespace halftone {
namespace {

// A request may reach a process twice at once: timeout(1) and batch systems signal it and then the
// group that it is in. Of what follows within this time nothing is a second request.
constexpr int64_t kOneRequest = 1'000'000'000;

std::atomic<int64_t> first_request = 0;                    // when it came; 0: there was none
static_assert(std::atomic<int64_t>::is_always_lock_free);  // as a signal's handler needs it

int64_t nanoseconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

void on_signal(int signal) {
  const int64_t now = nanoseconds_now();
  int64_t first = 0;
  if (!first_request.compare_exchange_strong(first, now) && now - first > kOneRequest)
    _exit(128 + signal);
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  // A terminal that is closed; nohup has it ignored, which stays so.
  if (std::signal(SIGHUP, on_signal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
}

bool interrupted() {
  return first_request != 0;
}

}  // namespace halftone
