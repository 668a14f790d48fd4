#include "app/interrupt.h"

#include <time.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

namespace halftone {
namespace {

// A request may reach a process twice at once: timeout(1) and batch systems signal it and then the
// group that it is in. Of what follows within this time nothing is a second request.
constexpr int64_t kOneRequest = 1'000'000'000;

volatile std::sig_atomic_t requested = 0;
volatile int64_t requested_at = 0;  // written once, by the first request

int64_t nanoseconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

void on_signal(int signal) {
  const int64_t now = nanoseconds_now();
  if (!requested) {
    requested_at = now;
    requested = 1;
  } else if (now - requested_at > kOneRequest) {
    _exit(128 + signal);
  }
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  // A terminal that is closed; nohup has it ignored, which stays so.
  if (std::signal(SIGHUP, on_signal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
}

bool interrupted() {
  return requested;
}

}  // namespace halftone
