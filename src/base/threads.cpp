// The team of threads: OpenMP's, whose threads take blocks as they get free.
#include "halftone/base/threads.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>

namespace halftone {
namespace {

int& team() {
  static int count = omp_get_num_procs();
  return count;
}

thread_local bool inside = false;

// While a thread works on blocks, what it calls runs on it alone.
struct Inside {
  Inside() { inside = true; }
  ~Inside() { inside = false; }
};

}  // namespace

void set_threads(int count) {
  team() = count > 0 ? count : omp_get_num_procs();
}

int threads() {
  return inside ? 1 : team();
}

void parallel_for(int64_t n, int64_t block, RangeFunction body) {
  const int64_t blocks = divide_up(n, block);
  if (blocks <= 1 || threads() == 1) {
    for (int64_t begin = 0; begin < n; begin += block) body(begin, std::min(begin + block, n));
    return;
  }
  std::exception_ptr thrown;
  std::atomic<bool> stop = false;
  // Always the whole team: OpenMP ends the threads that a smaller one does not need.
#pragma omp parallel for schedule(dynamic, 1) num_threads(team())
  for (int64_t i = 0; i < blocks; ++i) {
    if (stop) continue;
    const Inside guard;
    try {
      body(i * block, std::min((i + 1) * block, n));
    } catch (...) {
#pragma omp critical(halftone_parallel_for)
      if (!stop.exchange(true)) thrown = std::current_exception();
    }
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace halftone
