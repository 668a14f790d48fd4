// System calls and signals.
#pragma once

#include <cerrno>

namespace halftone {

// Carries out a system call until no signal interrupts it; returns what it returns.
template <class Call>
auto uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace halftone
