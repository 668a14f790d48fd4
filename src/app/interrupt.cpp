#include "app/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace halftone {
namespace {

volatile std::sig_atomic_t requests = 0;

void on_signal(int signal) {
  requests = requests + 1;
  if (requests > 1) _exit(128 + signal);
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  // A terminal that is closed; nohup has it ignored, which stays so.
  if (std::signal(SIGHUP, on_signal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
}

bool interrupted() {
  return requests > 0;
}

}  // namespace halftone
